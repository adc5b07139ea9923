"""The report: what it says, and that it is one safe file."""

import base64
import collections
import dataclasses
import hashlib
import itertools
import json
import re

import pytest
from conftest import sentences, spoil, write_lines
from report_page import DIRECTIONS, HOSTILE, TRIALS, Page, table_rows

from bayling_eval import evaluate, plan, store
from bayling_eval.cli.main import main
from bayling_eval.compare import compare
from bayling_eval.imports import import_outputs
from bayling_eval.method import Method
from bayling_eval.records import Comparison
from bayling_eval.report import build, summary, view
from bayling_eval.statistics import SEED

pytest_plugins = ["report_page"]


def test_the_page_is_one_file_that_asks_for_nothing(page):
    parsed = Page(page)
    tags = collections.Counter(tag for tag, _ in parsed.tags)
    assert (tags["script"], tags["style"], tags["html"], tags["main"], tags["h1"]) == (1,) * 5
    assert not {"img", "iframe", "object", "embed", "form", "base"} & set(tags)
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
    assert counted == {"regressed": 2, "improved": 1, "no_change": 3, "missing": 1}
    assert "chrF++: 2 of 7 directions regressed, 1 improved." in parsed.words
    listed = re.search(r'<ul class="tally" id="counts">(.*?)</ul>', page, re.DOTALL).group(1)
    shown = re.findall(r"<b>(\d+)</b> ([^<]+)</li>", listed)
    assert {words: int(n) for n, words in shown} == {
        view.WORDS[verdict]: n for verdict, n in counted.items()
    }
    rows = table_rows(page)
    for verdict, n in counted.items():
        assert sum(f"</span> {view.WORDS[verdict]}<" in row for row in rows) == n
    worst = re.search(r'<ol class="worst".*?</ol>', page, re.DOTALL).group()
    assert Page(worst).words.startswith("English → Chinese (Simplified) ▼")
    assert worst.count("<li>") == 2


def test_the_page_says_nothing_about_shipping_without_rules(page):
    words = Page(page).words
    assert "No release rules were given" in words
    assert "ready" not in words.lower().replace("already", "")


def test_averages_stand_beside_the_regressed_and_bleu_has_none(page, document):
    words = Page(page).words
    macro = next(r for r in document["macro"] if r["group"] == "flores200 all")
    mean = view.number(macro["delta"], "chrf++", signed=True)
    assert f"{mean} mean difference in chrF++, 6/7 directions; 2 regressed" in words
    assert "No mean of fewer than 5 directions" in words
    assert not [row for row in document["macro"] if row["metric"] == "bleu"]
    overview = page.split('id="overview"')[1].split('id="regressions"')[0]
    bleu = overview.split("The same in BLEU")[1].split("<tr")[2:]
    assert bleu
    assert all("never averaged over languages" in row for row in bleu)


def test_unknown_settings_are_said(page):
    words = Page(page).words
    assert words.count("Settings unknown: how these outputs were made is not known, so they") == 1


def test_the_headline_has_a_line_for_each_further_baseline(page, document):
    rows = [r for r in document["rows"] if (r["metric"], r["baseline"]) == ("chrf++", "third")]
    found = collections.Counter(row["verdict"] for row in rows)
    macro = next(
        r
        for r in document["macro"]
        if (r["metric"], r["baseline"], r["group"]) == ("chrf++", "third", "flores200 all")
    )
    mean = view.number(macro["delta"], "chrf++", signed=True)
    n = sum(row["delta"] is not None for row in rows)
    said = f"against third: {found['regressed']} of {len(rows)} regressed, "
    said += f"{found['improved']} improved, mean difference {mean} "
    words = Page(page).words
    assert said in words
    assert f", {n}/{len(rows)} directions. Higher chrF++ is better" in words
    assert page.count('<p class="also">') == 1


def test_the_difference_and_the_verdict_come_first(page):
    head = page.split('<table class="sortable">')[1].partition("</thead>")[0]
    heads = re.findall(r'<button type="button">([^<]*)</button>', head)
    assert heads[:6] == ["Source", "Target", "Δ chrF++", "Verdict", "p", "n"]
    assert heads[-3:] == ["Family", "Script", "Speakers"]
    cells = {len(re.findall(r"<t[dh][ >]", row)) for row in table_rows(page)}
    assert cells == {len(heads)}


def test_words_are_explained_where_they_stand(page):
    words = Page(page).words
    assert "survives correction for testing 6 directions (Holm, 5 %), and at least 0.5 chrF++" in (
        words
    )
    assert "the length ratio is characters of the output over characters of the reference" in words
    assert view.effect("empty_rate", 0.01) == "1 pp"
    assert (view.better("empty_rate"), view.better("length_ratio")) == ("lower", "")


def test_a_mean_whose_interval_holds_zero_says_so(page, document):
    first, *sides = re.findall(r'<div class="tile">.*?</div>', page, re.DOTALL)
    macro = {
        r["group"]: r["ci_low"] <= 0 <= r["ci_high"]
        for r in document["macro"]
        if (r["metric"], r["baseline"]) == ("chrf++", "old") and r["ci_low"] is not None
    }
    # Each side has fewer than five directions, and so no mean.
    assert list(macro) == ["flores200 all"]
    assert ("not distinguishable from 0" in first) == macro["flores200 all"]
    assert len(sides) == 3
    assert all('<p class="num none">no mean</p>' in tile for tile in sides)


def test_a_group_of_one_has_the_name_of_its_direction(results):
    found = compare(
        store.find(results, "new"), store.find(results, "old"), method=Method(trials=TRIALS)
    )
    other = {"task": "x", "src_lang": "deu_Latn", "tgt_lang": "fra_Latn"}
    for n, said in (1, "German → French"), (2, "Other directions"):
        extra = [found.rows[0].model_copy(update=other)] * n
        pair = dataclasses.replace(found, rows=[*found.rows, *extra])
        groups = summary.summaries(pair, "old", found.rows[0].metric)
        sides = ["English → X", "X → English", "German → Chinese (Simplified)"]
        assert [g.group for g in groups] == ["All directions", *sides, said]


def test_the_overview_leaves_out_verdicts_that_no_row_has(page):
    overview = page.split('id="overview"')[1].split("</table>")[0]
    heads = re.findall(r"</span><small>([^<]*)</small>", overview)
    assert {"regressed", "improved"} <= set(heads)
    assert "real but small" not in heads
    for row in overview.split("<tr")[2:]:
        assert len(re.findall(r'class="count', row)) == len(heads)


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


def test_hostile_reasons_do_nothing(tmp_path, results):
    found = compare(
        store.find(results, "new"), store.find(results, "old"), method=Method(trials=TRIALS)
    )
    why = " ".join(HOSTILE[:6]) + "\ud800"
    rows = [row.model_copy(update={"reason": why, "settings_diff": [why]}) for row in found.rows]
    broken = dataclasses.replace(found, rows=rows, incomplete=[why])
    report = build.Report("x", (broken,), Method(trials=TRIALS), f"echo {why}")
    text = build.write(report, tmp_path).read_text(encoding="utf-8")
    parsed = Page(text)
    assert "Incomplete: 1 planned result is not there." in parsed.words
    assert parsed.words.count("<script>alert(1)</script>") >= 5
    assert "img" not in {tag for tag, _ in parsed.tags}
    assert all({"role", "viewbox"} <= set(attrs) for tag, attrs in parsed.tags if tag == "svg")
    assert "U+D800" in parsed.words
    assert json.loads((tmp_path / "x" / "report.json").read_bytes())["rows"][0]["reason"] == why


def test_hostile_tasks_and_languages_of_an_export_do_nothing():
    assert view.tongue("<b>").lang == ""


def test_the_json_has_every_number_of_the_page(page, document):
    assert document["schema"] == "bayling_eval.report/1"
    assert (document["candidate"], document["baselines"]) == ("new", ["old", "third"])
    assert set(document["rows"][0]) == set(Comparison.model_fields)
    told = document["provenance"]
    assert [s["role"] for s in told["systems"]] == ["candidate", "baseline", "baseline"]
    assert told["statistics"]["trials"] == TRIALS
    assert told["statistics"]["seed"] == SEED
    assert {t["tests"] for t in told["tests"] if t["baseline"] == "old"} == {6}
    for entry in told["metrics"]:
        assert entry["signature"] in Page(page).words
    files = {p for t in told["tasks"] for s in t["systems"] for p in s["data_files"]}
    assert len(files) == 4
    assert all(path in page for path in files)


def test_the_same_results_give_the_same_bytes(make, tmp_path):
    make()
    first = {p: p.read_bytes() for p in (tmp_path / "reports" / "r").rglob("*") if p.is_file()}
    make()
    assert first == {p: p.read_bytes() for p in first}
    drawn = {p.stem for p in first if p.suffix == ".svg"}
    assert drawn == {p.stem for p in first if p.suffix == ".pdf"}
    assert "overview" in drawn
    assert {p.name for p in first if p.parent.name != "figures"} == {
        "index.html",
        "report.json",
        "scores.csv",
        "comparisons.csv",
        "macro.csv",
        "directions.csv",
        "comparisons.tex",
    }


def test_the_tables_for_papers_are_those_of_compare(make, tmp_path, results, capsys):
    make()
    capsys.readouterr()
    words = ["compare", "new", "old", "--trials", TRIALS, "--results", results, "--format", "latex"]
    main([str(word) for word in [*words, "-q"]])
    written = (tmp_path / "reports/r/tables/comparisons.tex").read_text(encoding="utf-8")
    assert written.strip() == capsys.readouterr().out.strip()
    assert written.count(r"\begin{tabular}") >= 2


def test_what_an_earlier_report_of_the_name_wrote_is_removed(make, tmp_path):
    make()
    folder = tmp_path / "reports" / "r"
    for name in ("figures/old.svg", "tables/old.csv", "notes.txt"):
        (folder / name).write_text("old", encoding="utf-8")
    make()
    assert not (folder / "figures/old.svg").exists()
    assert not (folder / "tables/old.csv").exists()
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "old"


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
    assert ('id="samples-' in text) == with_text
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
    assert "nothing could be compared (8 directions)" in Page(text).words


@pytest.mark.parametrize(
    ("value", "metric", "signed", "shown"),
    [
        (1.234, "chrf++", True, "+1.23"),
        (-1.236, "chrf++", True, "\N{MINUS SIGN}1.24"),
        (-0.001, "chrf++", True, "\N{MINUS SIGN}0.001"),
        (-0.001, "chrf++", False, "0.00"),
        (0.0, "chrf++", True, "0.00"),
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
    assert re.search(r"English → \w+.* ▼ \+\d+\.\d\d pp", Page(page).words)
    assert 'aria-sort="descending"' in page
