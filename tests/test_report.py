"""The report: what it says, that it is one safe file, and that hostile text stays text."""

import base64
import collections
import dataclasses
import hashlib
import itertools
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import sentences, spoil, write_lines

from bayling_eval import evaluate, plan, store
from bayling_eval.cli.main import main
from bayling_eval.compare import compare
from bayling_eval.imports import import_outputs
from bayling_eval.records import Comparison
from bayling_eval.report import build, samples, view
from bayling_eval.statistics import SEED

DIRECTIONS = {
    "eng_Latn-deu_Latn": "deu_Latn",
    "deu_Latn-eng_Latn": "eng_Latn",
    "eng_Latn-zho_Hans": "zho_Hans",
    "eng_Latn-tha_Thai": "tha_Thai",
    "tha_Thai-eng_Latn": "eng_Latn",
}
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><svg/onload=alert(1)>",
    '"><img src=http://example.org onerror=alert(1)>',
    "{{7*7}}{% include 'x' %}",
    "abc\u202edef",
    "\u200bnul\x00end\ufeff",
    "",
    "   ",
    "x" * 100_000,
]
VOID = {"meta", "link", "br"}
TRIALS = 2_000


class Page(HTMLParser):
    """A page as a list of elements and the text of each; unclosed elements are a fault."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.blocks: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"{tag}: an attribute stands there twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("style", "script"):
            self.blocks[self.open[-1]] = self.blocks.get(self.open[-1], "") + data
        else:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.tags if attrs.get(name) is not None]


def table_rows(text: str) -> list[str]:
    """Return the markup of each row of the per-direction table."""
    return re.findall(r'<tr id="dir-.*?</tr>', text, re.DOTALL)


@pytest.fixture
def results(tmp_path, small_data):
    """Three systems: `new` loses into German, wins into Thai, lacks Thai to English."""
    new, old = {"deu_Latn": 2, "tha_Thai": 30}, {"deu_Latn": 30, "tha_Thai": 2}
    systems = {
        "new": {p: spoil(sentences(t), new.get(t, 5)) for p, t in DIRECTIONS.items()},
        "old": {p: spoil(sentences(t), old.get(t, 5)) for p, t in DIRECTIONS.items()},
        "third": {p: spoil(sentences(t), 3) for p, t in DIRECTIONS.items() if "zho" not in p},
    }
    del systems["new"]["tha_Thai-eng_Latn"]
    hostile = spoil(sentences("zho_Hans"), 5)
    systems["new"]["eng_Latn-zho_Hans"] = [*HOSTILE, *hostile[len(HOSTILE) :]]
    chosen = plan.selected(plan.load("flores200"))
    for name, outputs in systems.items():
        for pair, lines in outputs.items():
            write_lines(tmp_path / name / f"{pair}.txt", lines)
        import_outputs(tmp_path / "results", name, chosen, tmp_path / name, small_data)
        for cell in store.find(tmp_path / "results", name).cells():
            evaluate.score_cell(cell, evaluate.Order(data=small_data))
    return tmp_path / "results"


@pytest.fixture
def make(tmp_path, results):
    """Return a function that writes a report; it returns the exit code and the page."""

    def run(*words: object, candidate="new", baselines=("old",), name="r"):
        systems = [word for spec in baselines for word in ("--baseline", spec)]
        command = ["report", name, "--candidate", candidate, *systems, "--trials", TRIALS]
        command += ["--results", results, "--reports", tmp_path / "reports", "-q", *words]
        code = main([str(word) for word in command])
        return code, (tmp_path / "reports" / name / "index.html").read_text(encoding="utf-8")

    return run


@pytest.fixture
def page(make) -> str:
    return make(baselines=("old", "third"))[1]


@pytest.fixture
def document(tmp_path, page):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    text = (tmp_path / "reports" / "r" / "report.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=refuse)


def test_the_page_is_one_file_that_asks_for_nothing(page):
    parsed = Page(page)
    tags = collections.Counter(tag for tag, _ in parsed.tags)
    assert (tags["script"], tags["style"], tags["html"], tags["main"], tags["h1"]) == (1,) * 5
    assert not {"img", "iframe", "object", "embed", "form", "base", "svg"} & set(tags)
    for name in ("src", "href", "action", "srcset"):
        assert not [v for v in parsed.attributes(name) if not v.startswith(("#", "data:,"))]
    names = {name for _, attrs in parsed.tags for name in attrs}
    assert not [name for name in names if name == "style" or name.startswith("on")]
    assert "url(" not in parsed.blocks["style"]
    assert "@import" not in parsed.blocks["style"]


def test_the_policy_names_the_blocks_of_the_page(page):
    parsed = Page(page)
    policy = next(a["content"] for t, a in parsed.tags if "http-equiv" in a and t == "meta")
    hashes = {
        kind: base64.b64encode(hashlib.sha256(parsed.blocks[kind].encode()).digest()).decode()
        for kind in ("style", "script")
    }
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; "
        f"script-src 'sha256-{hashes['script']}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def test_ids_are_unique_and_every_link_leads_somewhere(page):
    parsed = Page(page)
    ids = parsed.attributes("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in parsed.attributes("href") if link[0] == "#"} <= set(ids)
    assert {*parsed.attributes("aria-labelledby")} <= set(ids)


def test_tables_and_headings_are_made_for_screen_readers(page):
    parsed = Page(page)
    assert parsed.tags[0] == ("html", {"lang": "en", "dir": "ltr"})
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    tags = collections.Counter(tag for tag, _ in parsed.tags)
    assert tags["caption"] == tags["table"]
    assert all("scope" in attrs for tag, attrs in parsed.tags if tag == "th")
    assert sum("aria-sort" in attrs for tag, attrs in parsed.tags if tag == "th") == 1
    for _, attrs in parsed.tags:
        if "scroll" in (attrs.get("class") or "").split():
            assert attrs["tabindex"] == "0"
            assert attrs["aria-label"]


def test_the_headline_counts_what_the_table_shows(page, document):
    parsed = Page(page)
    counted = collections.Counter(
        row["verdict"]
        for row in document["rows"]
        if row["metric"] == "chrf++" and row["baseline"] == "old"
    )
    assert counted == {"regressed": 2, "improved": 1, "no_change": 1, "missing": 1}
    assert "chrF++: 2 of 5 directions regressed, 1 improved." in parsed.words
    listed = re.search(r'<ul class="tally" id="counts">(.*?)</ul>', page, re.DOTALL).group(1)
    shown = re.findall(r"<b>(\d+)</b> ([^<]+)</li>", listed)
    assert {words: int(n) for n, words in shown} == {
        view.WORDS[verdict]: n for verdict, n in counted.items()
    }
    rows = table_rows(page)
    for verdict, n in counted.items():
        assert sum(f"</span> {view.WORDS[verdict]}<" in row for row in rows) == n
    assert "Worst: English → Chinese (Simplified)" in parsed.words


def test_the_page_says_nothing_about_shipping_without_rules(page):
    words = Page(page).words
    assert "No release rules were given" in words
    assert "ready" not in words.lower().replace("already", "")


def test_averages_stand_beside_the_regressed_and_bleu_has_none(page, document):
    words = Page(page).words
    macro = next(r for r in document["macro"] if r["group"] == "flores200 all")
    mean = view.number(macro["delta"], "chrf++", signed=True)
    assert f"{mean} mean difference in chrF++, 4/5 directions; 2 regressed" in words
    assert "under 5 directions" in words
    assert not [row for row in document["macro"] if row["metric"] == "bleu"]
    overview = page.split('id="overview"')[1].split('id="directions"')[0]
    bleu = overview.split("The same in BLEU")[1].split("<tr")[2:]
    assert bleu
    assert all("never averaged over languages" in row for row in bleu)


def test_unknown_settings_are_said(page):
    assert "Settings unknown: compared on outputs alone" in Page(page).words


def test_only_confirmed_differences_are_tinted(page):
    for row in table_rows(page):
        confirmed = "</span> regressed<" in row or "</span> improved<" in row
        assert bool(re.search(r'class="(up|down)\d', row)) == confirmed


def test_what_is_missing_has_a_reason_and_never_a_number(page, document):
    missing = [row for row in table_rows(page) if "tha_Thai-eng_Latn" in row]
    assert len(missing) == 1
    words = " ".join(Page(missing[0]).text)
    assert "not planned" in words
    assert "new has no outputs for it" in words
    numbers = re.findall(r"\d+\.\d+", words)
    scores = [s for s in document["scores"] if s["task"] == "flores200_tha_Thai-eng_Latn"]
    printed = {view.number(s["value"], s["metric"]).split()[0] for s in scores}
    assert set(numbers) <= printed
    assert table_rows(page)[-1] == missing[0]
    rows = [r for r in document["rows"] if r["task"] == "flores200_tha_Thai-eng_Latn"]
    assert {(r["delta"], r["candidate_value"], r["p_value"]) for r in rows} == {(None,) * 3}
    listed = document["provenance"]["missing"]
    assert {"new has no outputs for it", "third has no outputs for it"} == {
        m["reason"] for m in listed
    }


def test_hostile_outputs_are_shown_and_do_nothing(make, monkeypatch):
    first = dict(zip(samples.KINDS, np.arange(9).reshape(3, 3).tolist(), strict=True))
    monkeypatch.setattr(samples, "choose", lambda delta, ids: first)
    page = make()[1]
    parsed = Page(page)
    assert "<script>alert(1)</script>" in parsed.words
    assert "</script><svg/onload=alert(1)>" in parsed.words
    assert '"><img src=http://example.org onerror=alert(1)>' in parsed.words
    assert "{{7*7}}{% include 'x' %}" in parsed.words
    assert "abcRLOdef" in parsed.words
    assert "ZWSPnulNULendBOM" in parsed.words
    assert not set("\x00\u202e\u200b\ufeff") & set(page)
    assert "(empty)" in parsed.words
    assert "(only white space)" in parsed.words
    assert "98,000 more characters are not shown" in parsed.words
    assert not {"img", "svg"} & {tag for tag, _ in parsed.tags}
    assert max(map(len, re.findall(r"x+", page))) == samples.SHOWN


def test_texts_have_their_language_and_find_their_direction(page):
    texts = [attrs for _, attrs in Page(page).tags if attrs.get("class") == "text"]
    assert {attrs["lang"] for attrs in texts} == {"en", "de", "th", "zh-Hans"}
    assert {attrs["dir"] for attrs in texts} == {"auto"}


def test_hostile_reasons_do_nothing(tmp_path, results):
    found = compare(store.find(results, "new"), store.find(results, "old"), trials=TRIALS)
    why = " ".join(HOSTILE[:6]) + "\ud800"
    rows = [row.model_copy(update={"reason": why, "settings_diff": [why]}) for row in found.rows]
    broken = dataclasses.replace(found, rows=rows, incomplete=[why])
    report = build.Report("x", (broken,), TRIALS, f"echo {why}")
    text = build.write(report, tmp_path).read_text(encoding="utf-8")
    parsed = Page(text)
    assert "Incomplete: 1 planned result is not there." in parsed.words
    assert parsed.words.count("<script>alert(1)</script>") >= 5
    assert not {"img", "svg"} & {tag for tag, _ in parsed.tags}
    assert "U+D800" in parsed.words
    assert json.loads((tmp_path / "x" / "report.json").read_bytes())["rows"][0]["reason"] == why


def test_hostile_tasks_and_languages_of_an_export_do_nothing():
    ids = build._ids("dir", ['a" x', "a' x", "a_ x", "b"])
    assert ids == ["dir-a__x", "dir-a__x-2", "dir-a__x-3", "dir-b"]
    assert view.tongue("<b>").lang == ""


def test_the_json_has_every_number_of_the_page(page, document):
    assert document["schema"] == "bayling_eval.report/1"
    assert (document["candidate"], document["baselines"]) == ("new", ["old", "third"])
    assert set(document["rows"][0]) == set(Comparison.model_fields)
    told = document["provenance"]
    assert [s["role"] for s in told["systems"]] == ["candidate", "baseline", "baseline"]
    assert told["statistics"]["trials"] == TRIALS
    assert told["statistics"]["seed"] == SEED
    assert {t["tests"] for t in told["tests"] if t["baseline"] == "old"} == {4}
    for entry in told["metrics"]:
        assert entry["signature"] in Page(page).words
    files = {p for t in told["tasks"] for s in t["systems"] for p in s["data_files"]}
    assert len(files) == 5
    assert all(path in page for path in files)


def test_the_same_results_give_the_same_bytes(make, tmp_path):
    make()
    first = {p: p.read_bytes() for p in (tmp_path / "reports" / "r").rglob("*") if p.is_file()}
    make()
    assert first == {p: p.read_bytes() for p in first}
    assert {p.name for p in first} == {
        "index.html",
        "report.json",
        "scores.csv",
        "comparisons.csv",
        "macro.csv",
        "directions.csv",
    }


def test_a_task_scored_in_two_ways_has_one_line_and_the_asked_one(
    tmp_path, results, small_data, make
):
    order = evaluate.Order((evaluate.MetricSpec.parse("chrf++:lowercase=yes"),), data=small_data)
    for name in ("new", "old"):
        for cell in store.find(results, name).cells():
            evaluate.score_cell(cell, order)
    for words, case in ((), "mixed"), (("--metric", "chrf++:lowercase=yes"), "lc"):
        page = make(*words)[1]
        assert len(table_rows(page)) == len(DIRECTIONS)
        report = json.loads((tmp_path / "reports" / "r" / "report.json").read_text())
        rows = [r for r in report["rows"] if r["metric"] == "chrf++" and r["signature"]]
        found = {r["signature"].split("|")[1] for r in rows}
        assert found == {f"case:{case}"}


@pytest.mark.parametrize("with_text", [True, False])
def test_an_exported_system_can_be_reported(tmp_path, results, make, with_text):
    path = tmp_path / "old.zip"
    store.export([store.find(results, "old")], path, with_text=with_text)
    _, text = make(baselines=(path,))
    words = Page(text).words
    assert ("No samples: old has no texts here" in words) != with_text
    assert ('<details id="samples-' in text) == with_text
    assert len(table_rows(text)) == len(DIRECTIONS)


def test_exit_codes_and_faults(make, tmp_path, results, capsys):
    code, _ = make()
    assert code == 0
    assert capsys.readouterr().out == f"{tmp_path / 'reports' / 'r' / 'index.html'}\n"
    base = ["report", "r", "--candidate", "new", "--results", str(results)]
    base += ["--reports", str(tmp_path / "none"), "-q"]
    for words, said in [
        (["--baseline", "old", "--metric", "nonsense"], "unknown metric"),
        (["--baseline", "old", "--baseline", "old"], "given twice"),
        (["--baseline", "nobody"], "unknown system"),
        (["--baseline", "old", "--trials", "50"], "cannot resolve"),
    ]:
        assert main([*base, *words]) == 2
        assert said in capsys.readouterr().err
    assert main(["report", "../up", *base[2:], "--baseline", "old"]) == 2
    assert not (tmp_path / "none").exists()


def test_an_incomplete_system_gets_its_page_and_exit_code_3(tmp_path, results, small_data, make):
    lines = spoil(sentences("deu_Latn"), 4)
    write_lines(tmp_path / "more" / "zho_Hans-deu_Latn.txt", lines)
    chosen = plan.selected(plan.load("flores200"))
    import_outputs(results, "new", chosen, tmp_path / "more", small_data)
    code, text = make()
    assert code == 3
    assert "Incomplete: 1 planned result is not there." in Page(text).words
    assert "not scored yet" in Page(text).words


def test_nothing_comparable_is_said_with_exit_code_4(tmp_path, results, small_data, make):
    write_lines(tmp_path / "alone" / "zho_Hans-deu_Latn.txt", sentences("deu_Latn"))
    chosen = plan.selected(plan.load("flores200"))
    import_outputs(results, "alone", chosen, tmp_path / "alone", small_data)
    for cell in store.find(results, "alone").cells():
        evaluate.score_cell(cell, evaluate.Order(data=small_data))
    code, text = make(candidate="alone")
    assert code == 4
    assert "nothing could be compared (6 directions)" in Page(text).words


def test_the_choice_of_samples_is_stated_and_can_be_repeated():
    delta = np.array([0.0, -5.0, 3.0, -5.0, 9.0, 0.0, 0.0, 1.0, -1.0, 2.0, 0.0, 0.0])
    ids = [f"id{i}" for i in range(len(delta))]
    found = samples.choose(delta, ids, 2)
    assert (found["lowest"], found["highest"]) == ([1, 3], [4, 2])
    ranked = sorted(range(len(delta)), key=lambda i: samples.digest([SEED, ids[i]]))
    assert found["random"] == [i for i in ranked if i not in (1, 3, 4, 2)][:2]
    few = samples.choose(delta[:3], ids[:3], 2)
    assert sorted(itertools.chain(*few.values())) == [0, 1, 2]


def test_samples_are_cut_to_the_budget_and_the_cut_is_counted():
    text = samples.visible("x" * 1_000)
    segment = samples.Segment(0, text, (("ref", text),), (text, text), (1.0, 2.0))
    row = Comparison(
        task="t",
        family="f",
        src_lang=None,
        tgt_lang=None,
        lang=None,
        metric="chrf++",
        signature=None,
        candidate="a",
        baseline="b",
        verdict="no_change",
        settings_diff=[],
    )
    one = samples.Shown(row, 100, {kind: [segment] * 3 for kind in samples.KINDS})
    full, single = one.size, one.size - 6 * segment.size
    assert samples.fit([one] * 4, budget=4 * full).picks == 3
    assert samples.fit([one] * 4, budget=4 * full - 1).picks == 2
    cut = samples.fit([one] * 4, budget=2 * single)
    assert (cut.picks, len(cut.directions), cut.left_out) == (1, 2, 2)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("क्षि नी\u200dम \u200cx", "क्षि नी\u200dम \u200cx"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("a\u2066b\u2069\u200e", "aLRIbPDILRM"),
        ("a\u00adb\u2060c\U000e0041", "aSHYbWJcU+E0041"),
        ("one\ntwo\tx\x1b[0m", "oneLF\ntwoTAB\txESC[0m"),
        ("\x00" * 500 + "z", "NUL ×500z"),
    ],
)
def test_hidden_characters_have_names_and_spelling_is_left_alone(text, shown):
    assert "".join(Page(str(samples.visible(text))).text) == shown


def test_a_text_is_cut_between_clusters_unless_one_never_ends():
    assert str(samples.visible("e\u0301" * 10, limit=5)).startswith("e\u0301" * 2 + "<bdi")
    assert samples.visible("a" + "\u0301" * 5_000).startswith("a\u0301")
    assert len(samples.visible("a" + "\u0301" * 5_000)) < 2_200


def test_a_chip_does_not_decide_the_direction_of_its_text():
    assert samples.visible("\u202e\u05e9\u05dc").startswith('<bdi class="chip"')


@pytest.mark.parametrize(
    ("value", "metric", "signed", "shown"),
    [
        (1.234, "chrf++", True, "+1.23"),
        (-1.236, "chrf++", True, "\N{MINUS SIGN}1.24"),
        (-0.001, "chrf++", True, "0.00"),
        (0.0005, "empty_rate", False, "0.05 %"),
        (None, "chrf++", False, "–"),
        (float("nan"), "chrf++", False, "–"),
    ],
)
def test_numbers_as_they_are_printed(value, metric, signed, shown):
    assert view.number(value, metric, signed=signed) == shown


def test_an_interval_has_its_unit_once():
    assert view.interval(-0.01, 0.02, "empty_rate") == "[\N{MINUS SIGN}1.00, +2.00] pp"
    assert view.interval(None, 0.02, "chrf") == ""


def test_where_lower_is_better_the_worst_is_a_rise(make):
    page = make("--metric", "empty_rate")[1]
    assert re.search(r"Worst: English → \w+.* regressed, \+\d+\.\d\d pp", Page(page).words)
    assert 'aria-sort="descending"' in page


@pytest.fixture
def chromium(tmp_path):
    """Return a function that loads a page in Chromium and returns what became of it."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium: install it to test the page's script")

    def dump(url: str) -> str:
        quiet = ["background-networking", "component-update", "sync", "quic", "gpu"]
        command = [program, "--headless", "--no-sandbox", "--no-first-run"]
        command += [f"--disable-{name}" for name in quiet]
        command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout

    return dump


CLICKS = """<script>
const heads = [...document.querySelectorAll('.sortable th[data-t]')];
const order = (name) => {
  const head = heads.find((one) => one.textContent.startsWith(name));
  head.querySelector('button').click();
  const rows = [...document.querySelectorAll('.sortable tbody tr')].map((row) => row.id);
  return [name, head.getAttribute('aria-sort'), ...rows];
};
const found = ['Target', 'Verdict', 'Verdict', 'old', 'old'].map(order);
document.body.innerHTML = '<pre id="found"></pre>';
document.getElementById('found').textContent = JSON.stringify(found);
</script></body>"""


@pytest.mark.slow
def test_the_script_of_the_page_runs_in_a_browser(chromium, page, tmp_path):
    path = tmp_path / "reports" / "r" / "index.html"
    ids = [f"dir-flores200_{p}" for p in DIRECTIONS]
    # Opening the fold of a link shows that the policy lets the page's own script run.
    dom = chromium(f"{path.as_uri()}#samples-flores200_eng_Latn-deu_Latn")
    assert '<details id="samples-flores200_eng_Latn-deu_Latn" open="">' in dom
    clicked = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    copy = tmp_path / "clicked.html"
    copy.write_text(clicked.replace("</body>", CLICKS), encoding="utf-8")
    answer = Page(re.search(r'<pre id="found">.*?</pre>', chromium(copy.as_uri())).group()).words
    by_target, worst, best, low, high = json.loads(answer)
    assert [by_target[1], worst[1], best[1]] == ["ascending", "ascending", "descending"]
    assert sorted(by_target[2:]) == sorted(ids)
    assert by_target[2].endswith("zho_Hans")
    missing = "dir-flores200_tha_Thai-eng_Latn"
    assert worst[-1] == best[-1] == missing
    assert worst[2].endswith(("deu_Latn", "zho_Hans"))
    assert best[2].endswith("tha_Thai")
    tied = [[name for name in ids if name.endswith("eng_Latn")] for ids in (low, high)]
    assert tied[0] == tied[1]
    assert len(tied[0]) == 2
    assert [n for n in low[2:] if n not in tied[0]] == [n for n in high[:1:-1] if n not in tied[0]]
