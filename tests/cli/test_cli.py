"""The command line as a contract: exit codes, one line a fault, documents on stdout."""

import csv
import io
import json
import re
from pathlib import Path

import click
import pytest
from conftest import SEGMENTS, sentences, spoil, write_lines

from bayling_eval.cli import common
from bayling_eval.cli.main import VERBS, cli, main
from bayling_eval.metrics import DEFAULT

# Scripts depend on these: keys are always present, in this order.
SCORE_KEYS = """
    system model settings series step task family src_lang tgt_lang lang selection num_fewshot
    filter metric signature value stderr ci_low ci_high higher_is_better n n_unscored
    documents_digest settings_digest status reason
""".split()
COMPARE_KEYS = """
    task family src_lang tgt_lang lang metric signature candidate baseline candidate_value
    baseline_value delta ci_low ci_high stderr simultaneous_ci_low simultaneous_ci_high p_value
    p_is_bound p_adjusted detectable_effect minimum_effect collapsed n clusters verdict
    settings_diff reason
""".split()
MACRO_KEYS = """
    group by tasks metric candidate baseline delta ci_low ci_high population_ci_low
    population_ci_high clustered n n_expected weights weighted_delta weighted_ci_low
    weighted_ci_high n_weighted effective_n members reason
""".split()


@pytest.fixture
def run(tmp_path, small_data, monkeypatch, capsys):
    """Run a command in a folder of its own and return exit code, stdout and stderr."""
    monkeypatch.setenv("BAYLING_DATA", str(small_data))
    monkeypatch.delenv("BAYLING_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)

    def invoke(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


@pytest.fixture
def outputs(tmp_path):
    """Two systems' hypotheses for two directions."""
    for name, every in (("good", 6), ("bad", 2)):
        for pair, lang in (("eng_Latn-deu_Latn", "deu_Latn"), ("eng_Latn-zho_Hans", "zho_Hans")):
            lines = spoil(sentences(lang), every, sentences(lang, 5)[0])
            write_lines(tmp_path / name / f"{pair}.txt", lines)
    return tmp_path


@pytest.fixture
def scored(run, outputs):
    for name in ("good", "bad"):
        assert run("import", name, "--suite", "flores200", "--hypotheses", name)[0] == 0
    assert run("score", "--jobs", "1")[0] == 0
    return run


def one_line(err: str) -> str:
    lines = err.strip().split("\n")
    assert len(lines) == 1, err
    assert lines[0].startswith("bayling-eval: ")
    return lines[0]


# The straight way


def test_from_import_to_report(run, outputs):
    code, out, err = run("import", "good", "--suite", "flores200", "--hypotheses", "good")
    assert code == 0
    assert "added      flores200_eng_Latn-deu_Latn  30 segments  (eng_Latn-deu_Latn.txt)" in out
    assert "bayling-eval score good" in err
    run("import", "bad", "--suite", "flores200", "--hypotheses", "bad")
    code, out, err = run("score", "--jobs", "1")
    assert (code, out) == (0, "")
    assert err.count("2 tasks scored") == 2
    code, out, _ = run("compare", "bad", "good")
    assert code == 0
    assert out.startswith("chrf++: bad against good, 2 directions")
    assert "settings of the candidate unknown" in out
    code, out, _ = run("report", "page", "--candidate", "bad", "--baseline", "good", "-q")
    assert code == 0
    assert Path(out.strip()) == Path("reports/page/index.html")
    assert Path(out.strip()).is_file()


def test_scores_are_one_document(scored):
    code, out, err = scored("scores", "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert document["schema"] == "bayling_eval.scores/1"
    assert len(document["rows"]) == 2 * 2 * len(DEFAULT)
    assert list(document["rows"][0]) == SCORE_KEYS


def test_a_comparison_is_one_document(scored):
    _, out, _ = scored("compare", "bad", "good", "--json", "-q")
    document = json.loads(out)
    assert list(document) == ["schema", "rows", "macro"]
    assert list(document["rows"][0]) == COMPARE_KEYS
    assert list(document["macro"][0]) == MACRO_KEYS


def test_every_format_prints_the_same_rows(scored):
    rows = json.loads(scored("scores", "--json")[1])["rows"]
    table = scored("scores")[1].strip().split("\n")
    assert len(table) == len(rows) + 1
    read = list(csv.DictReader(io.StringIO(scored("scores", "--format", "csv")[1])))
    assert [float(r["value"]) if r["value"] else None for r in read] == [r["value"] for r in rows]
    assert list(read[0]) == list(rows[0])
    markdown = scored("scores", "--format", "md")[1].strip().split("\n")
    assert len(markdown) == len(rows) + 2
    latex = scored("scores", "--format", "latex")[1]
    assert latex.count(r"\\") == len(rows) + 1
    assert "flores200\\_eng\\_Latn-deu\\_Latn" in latex


def test_scores_can_be_cut_to_a_metric(scored):
    rows = json.loads(scored("scores", "good", "--metric", "chrf", "--json")[1])["rows"]
    assert {(r["system"], r["metric"]) for r in rows} == {("good", "chrf")}


def test_planned_and_not_scored_is_said(run, outputs):
    run("import", "good", "--suite", "flores200", "--hypotheses", "good")
    rows = json.loads(run("scores", "--json")[1])["rows"]
    assert {(r["status"], r["value"]) for r in rows} == {("unscored", None)}
    assert "unscored" in run("scores")[1]


def test_an_export_stands_for_its_system(scored, tmp_path):
    before = json.loads(scored("compare", "bad", "good", "--json", "-q")[1])
    assert scored("export", "good", "-o", "good.zip")[0] == 0
    again = json.loads(scored("compare", "bad", "good.zip", "--json", "-q")[1])
    assert again == before
    assert json.loads(scored("scores", "good.zip", "--json")[1])["rows"]
    assert "cannot be changed" in one_line(scored("score", "good.zip")[2])


def test_results_can_lie_elsewhere(run, outputs, monkeypatch):
    words = ("import", "good", "--suite", "flores200", "--hypotheses", "good")
    assert run(*words, "--results", "there")[0] == 0
    assert not Path("results").exists()
    monkeypatch.setenv("BAYLING_RESULTS", "there")
    assert run("ls", "systems")[1].count("good@") == 1


@pytest.mark.parametrize(
    "what", ["tasks", "suites", "languages", "models", "prompt-sets", "systems", "published"]
)
def test_everything_can_be_listed(scored, what):
    code, out, _ = scored("ls", what, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["schema"] == f"bayling_eval.{what}/1"
    assert document["rows"]
    assert scored("ls", what)[0] == 0


def test_data_check_lists_files_and_names_what_is_missing(run):
    code, out, err = run("data", "check", "flores200", "--languages", "deu_Latn", "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert [r["file"].rpartition("/")[2] for r in rows] == [
        "deu_Latn.devtest", "eng_Latn.devtest", "zho_Hans.devtest", "metadata_devtest.tsv",
    ]  # fmt: skip
    assert all(r["rows"] == SEGMENTS and len(r["sha256"]) == 64 for r in rows)
    code, _, err = run("data", "check", "flores200", "--languages", "fra_Latn")
    assert code == 2
    assert "fra_Latn.devtest is missing" in one_line(err)


# Bad input: exit code 2, one line, nothing changed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("scroe", r"unknown command 'scroe'. Did you mean 'score'"),
        ("scores --fromat json", r"No such option"),
        ("scores --format xml", r"'xml' is not one of"),
        ("scores godo", r"unknown system 'godo'. Did you mean 'good'\?.*ls systems"),
        ("scores --metric blue", r"unknown metric 'blue'. Did you mean 'bleu'"),
        ("score --metric blue", r"unknown metric 'blue'. Did you mean 'bleu'"),
        ("score --metric bleu:tokenise=zh", r"unknown option of bleu 'tokenise'.*'tokenize'"),
        ("score --metric bleu:tokenize=hz", r"unknown tokenizer of bleu 'hz'"),
        ("score --metric bleu:tokenize", r"'tokenize' is not option=value"),
        ("score --tasks *fra*", r"unknown task of these systems"),
        ("score --data nowhere", r"no data folder at nowhere"),
        ("compare good godo", r"unknown system 'godo'"),
        ("compare good", r"Missing argument 'BASELINE"),
        ("compare good bad --metric blue", r"unknown metric 'blue'"),
        ("compare good bad --trials 10", r"--trials 39 or more"),
        ("compare good bad --trials 0", r"Invalid value for '--trials'"),
        ("import x --suite flores20 --hypotheses good", r"unknown suite 'flores20'.*'flores200'"),
        ("import x --suite flores200 --hypotheses nowhere", r"no folder of hypotheses at nowhere"),
        ("import ../x --suite flores200 --hypotheses good", r"system name '../x'"),
        ("import x --suite wmt22 --hypotheses good", r"no folder wmt22 in|unknown direction"),
        ("ls task", r"unknown list 'task'. Did you mean 'tasks'"),
        ("data check flores200 --languages klingon", r"klingon"),
        ("data check xcopa", r"no folder xcopa in"),
        ("export godo -o x.zip", r"unknown system 'godo'"),
        ("report a/b --candidate good --baseline bad", r"'a/b'"),
        ("report x --candidate godo --baseline bad", r"unknown system 'godo'"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(scored, tmp_path, words, message):
    def listing() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    before = listing()
    code, out, err = scored(*words.split())
    assert (code, out) == (2, "")
    assert re.search(message, one_line(err)), err
    assert listing() == before


def test_broken_files_of_ours_are_named(scored, tmp_path):
    (path,) = tmp_path.glob("results/good@*/flores200/*/all/plan.json")
    path.write_text("{")
    code, _, err = scored("scores")
    assert code == 2
    assert re.search(r"plan.json:1: not JSON", one_line(err))


def test_nothing_comparable_is_4(scored, outputs, run):
    write_lines(outputs / "other" / "deu_Latn-tha_Thai.txt", sentences("tha_Thai", 1))
    run("import", "other", "--suite", "flores200", "--hypotheses", "other")
    run("score", "other")
    code, out, err = run("compare", "other", "good", "-q")
    assert code == 4
    assert "has no outputs for it" in out
    assert "have nothing that can be compared" in one_line(err)


def test_an_unfinished_system_is_3(scored, outputs, run):
    run("import", "late", "--suite", "flores200", "--hypotheses", "good")
    code, out, err = run("compare", "late", "good", "-q")
    assert code == 3
    assert "not scored yet" in out
    assert "bayling-eval score late" in one_line(err)


def test_one_incomplete_system_does_not_stop_the_others(run, outputs):
    for name in ("good", "bad"):
        run("import", name, "--suite", "flores200", "--hypotheses", name)
    (log,) = outputs.glob("results/bad@*/flores200/*/responses/import.jsonl")
    log.write_bytes(log.read_bytes().replace(b'"answer":"', b'"answer":"!', 1))
    code, out, err = run("score", "--json", "-q")
    assert code == 3
    assert "1 damaged records" in one_line(err)
    assert [row["counted"] for row in json.loads(out)["rows"]] == [2]
    rows = json.loads(run("scores", "--json")[1])["rows"]
    # Why imported outputs ended is not known.
    known = [r for r in rows if r["metric"] != "truncated_rate"]
    assert {(r["system"], r["status"]) for r in known} == {("good", "ok"), ("bad", "unscored")}


def test_a_stale_system_is_not_exported(scored, outputs, run):
    write_lines(outputs / "good" / "eng_Latn-deu_Latn.txt", sentences("deu_Latn", 7))
    run("import", "good", "--suite", "flores200", "--hypotheses", "good", "--replace")
    code, _, err = run("export", "good", "-o", "x.zip")
    assert code == 3
    assert "outputs changed" in one_line(err)
    assert not Path("x.zip").exists()


def test_without_a_command_the_help_is_printed(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    assert "Commands:" in out


def test_messages_cannot_steer_a_terminal(run, outputs):
    write_lines(outputs / "good" / "en-\x1b]0;x\x07de.txt", [])
    _, _, err = run("import", "good", "--suite", "flores200", "--hypotheses", "good")
    assert "\x1b" not in one_line(err)
    assert "\\x1b]0;x\\x07de.txt" in err


def test_a_full_disk_is_5(run, outputs, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bayling_eval.store.os.fsync", full)
    code, _, err = run("import", "good", "--suite", "flores200", "--hypotheses", "good")
    assert code == 5
    said = "No space left on device: nothing half-written is kept; make room and run the same again"
    assert said in one_line(err)


def test_an_interrupt_is_130(run, monkeypatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bayling_eval.store.systems", stop)
    code, _, err = run("scores")
    assert code == 130
    assert "run the same command again" in one_line(err)


def test_verbose_shows_where_a_fault_was_raised(scored):
    _, _, err = scored("scores", "godo", "-v")
    assert "Traceback" in err


# The frame


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_says_what_the_list_says(verb, capsys):
    context = click.Context(cli)
    command = cli.get_command(context, verb)
    assert command.help
    assert main([verb, "--help"]) == 0
    assert "Usage: bayling-eval" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0.000"),
        (float(12), "12.000"),
        ("a\x1b[31mb\u202ec\n", r"a\x1b[31mb\u202ec\n"),
        (["a", "b"], "a; b"),
        (True, "yes"),
    ],
)
def test_a_cell_shows_missing_as_missing_and_no_control_characters(value, shown):
    assert common.text("x", value) == shown


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_cell_of_csv_is_no_formula(start, capsys):
    common.emit({"rows": [{"a": f"{start}1+1", "b": -1.5}]}, "csv", ["a", "b"])
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert row == {"a": f"'{start}1+1", "b": "-1.5"}
