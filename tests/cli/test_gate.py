"""``bayling-eval gate``: exit codes, one document, and three files that say the same."""

import json
import re
from xml.etree import ElementTree as ET

import pytest
from compare_lab import DIRECTIONS, good
from conftest import SEGMENTS

from bayling_eval.cli.main import main

SPOILED = ("eng_Latn-deu_Latn", "eng_Latn-tha_Thai")
RULES = """
[compare]
trials = 3000

[[gates]]
id = "no-regressions"
rule = "count"

[[gates]]
id = "protected"
rule = "protected"
languages = "@all"
limit = 2

[[gates]]
id = "covered"
rule = "coverage"
"""


@pytest.fixture
def run(tmp_path, system, monkeypatch, capsys):
    """Run the verb beside three systems: good, bad in two directions, and not scored."""
    bad = {**good(), **{name: ["nichts\x1b[31m <b>"] * SEGMENTS for name in SPOILED}}
    system("good", good())
    system("bad", bad)
    system("raw", good(), score=False)
    (tmp_path / "rules.toml").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BAYLING_DATA", raising=False)
    monkeypatch.delenv("BAYLING_RESULTS", raising=False)

    def invoke(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["gate", "-q", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


def directions(text: str) -> set[str]:
    return set(re.findall(r"\w{3}_\w{4}-\w{3}_\w{4}", text))


def test_two_spoiled_directions_are_exactly_those_that_are_named(run, tmp_path):
    code, out, err = run(
        "rules.toml", "bad", "good", "--junit", "out/g.xml", "--summary", "out/g.md"
    )
    assert (code, err) == (1, "")
    assert out.rstrip().endswith("\nnot ready: 2 of 3 gates fail")
    assert directions(out) == set(SPOILED)
    assert "\x1b" not in out
    assert "candidate  nichts\\x1b[31m <b>" in out
    root = ET.parse(tmp_path / "out" / "g.xml").getroot()  # noqa: S314  # our own file
    failed = {
        case.attrib["name"] for case in root.iter("testcase") if case.find("failure") is not None
    }
    assert failed == {"no-regressions", "protected", *SPOILED}
    properties = {one.attrib["name"]: one.attrib["value"] for one in root[0].iter("property")}
    assert properties["verdict"] == "not ready: 2 of 3 gates fail"
    assert properties["trials"] == "3000"
    assert len(properties["candidate digest"]) == len(properties["rules sha256"]) == 64
    markdown = (tmp_path / "out" / "g.md").read_text()
    assert markdown.startswith("**not ready: 2 of 3 gates fail**\n")
    assert directions(markdown) == set(SPOILED)


def test_a_system_against_itself_is_ready(run):
    code, out, _ = run("rules.toml", "good", "good")
    assert code == 0
    assert out.rstrip().endswith("\nready: 3 gates pass")
    assert not directions(out)


def test_the_command_of_the_summary_says_the_same_again(run, tmp_path):
    run("rules.toml", "bad", "good", "--trials", "4000", "--unclustered", "--summary", "g.md")
    first = (tmp_path / "g.md").read_text()
    command = first.split("<pre>\n")[-1].split("\n")[0]
    assert "--trials 4000" in command
    words = command.split()[2:]
    assert run(*words, "--summary", "again.md")[0] == 1
    assert (tmp_path / "again.md").read_text() == first


def test_options_go_before_what_the_rules_say_of_comparing(run, tmp_path):
    (tmp_path / "own.toml").write_text(
        '[compare]\ntrials = 3000\nmin_effect = {"chrf++" = 100.0}\n'
        '[[gates]]\nid = "a"\nrule = "count"\n'
    )
    assert run("own.toml", "bad", "good")[0] == 0
    assert run("own.toml", "bad", "good", "--min-effect", "chrf=1")[0] == 0
    assert run("own.toml", "bad", "good", "--min-effect", "chrf++=1")[0] == 1
    code, out, _ = run("own.toml", "bad", "good", "--strict", "--json")
    assert (code, json.loads(out)["verdict"]) == (4, "incomparable")


def test_one_document(run):
    code, out, err = run("rules.toml", "bad", "good", "--json")
    document = json.loads(out)
    assert (code, err) == (1, "")
    assert document["schema"] == "bayling_eval.gate/1"
    assert (document["verdict"], document["sentence"]) == (
        "not_ready", "not ready: 2 of 3 gates fail"
    )  # fmt: skip
    assert [row["outcome"] for row in document["rows"]] == ["fail", "fail", "pass"]
    assert len(document["details"]) == 3 * len(DIRECTIONS)
    failing = [row for row in document["details"] if row["outcome"] == "fail"]
    assert {f"{row['src_lang']}-{row['tgt_lang']}" for row in failing} == set(SPOILED)
    assert all(row["sample"]["candidate"] == "nichts\x1b[31m <b>" for row in failing)
    assert run("rules.toml", "good", "good", "--format", "csv")[1].count("\n") == 4


@pytest.mark.parametrize("form", ["table", "md", "latex"])
def test_the_verdict_stands_last(run, form):
    out = run("rules.toml", "bad", "good", "--format", form)[1]
    assert out.rstrip().split("\n")[-1].removeprefix("% ") == "not ready: 2 of 3 gates fail"
    assert directions(out.replace("\\_", "_")) == set(SPOILED)


def test_what_is_incomplete_is_exit_3_unless_a_gate_fails(run, tmp_path):
    (tmp_path / "lenient.toml").write_text('[[gates]]\nid = "a"\nrule = "count"\nmax = 99\n')
    code, out, err = run("lenient.toml", "raw", "good")
    assert code == 3
    assert out.rstrip().endswith("incomplete: 6 planned tasks have no valid score; 1 gate passes")
    assert "bayling-eval score raw" in err
    assert run("rules.toml", "raw", "good")[0] == 1


def test_nothing_in_common_is_exit_4(run, tmp_path):
    (tmp_path / "other.toml").write_text(
        '[[gates]]\nid = "a"\nrule = "health"\nmetric = "off_target_rate"\nmax_change = 1\n'
    )
    code, out, err = run("other.toml", "bad", "good")
    assert code == 4
    assert out.rstrip().endswith("not comparable: no task has a comparison; 0 gates pass, 1 warns")
    assert "nothing that can be compared" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.toml", "bad", "good"), "no rules at none.toml"),
        (("rules.toml", "bed", "good"), "unknown system 'bed'. Did you mean 'bad'"),
        (("rules.toml", "bad", "good", "--metric", "ter"), "--metric ter: no gate of rules.toml"),
        (("rules.toml", "bad", "good", "--by", "script"), "No such option"),
        (("rules.toml", "bad", "good", "--trials", "50"), "50 trials cannot resolve 6 tests"),
        (("rules.toml", "bad", "good", "--junit", "results"), "is a directory"),
        (("rules.toml", "bad", "good", "--summary", "link.md"), "link.md is no plain file"),
        (("rules.toml", "bad", "good", "--summary", "rules.toml"), "rules.toml is read or written"),
        (("rules.toml", "bad", "good", "--summary", "a", "--junit", "a"), "name another file"),
        (("tibetan.toml", "bad", "good"), "tibetan.toml:1: gate 'a': languages: 'bod_Tibt' "),
        (("mine.toml", "bad", "good"), "add --metric mine.py:Mine if you trust it"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_and_nothing_is_written(run, tmp_path, words, message):
    (tmp_path / "link.md").symlink_to(tmp_path / "target.md")
    gate = '[[gates]]\nid = "a"\nrule = "count"\n'
    (tmp_path / "tibetan.toml").write_text(f'{gate}languages = "bod_Tibt"\n')
    (tmp_path / "mine.toml").write_text(f'{gate}metric = "mine.py:Mine"\n')
    (tmp_path / "mine.py").write_text("raise SystemExit('ran')")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(*words, *(() if "--summary" in words else ("--summary", "new.md")))
    assert (code, out) == (2, "")
    assert len(err.strip().split("\n")) == 1
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before
