"""Published scores in ``scores`` and ``compare``: beside ours, cited, and never joined."""

import csv
import io
import json
from dataclasses import replace

import pytest
from cli_runs import one_line
from conftest import SEGMENTS, sentences, spoil, write_lines

from bayling_eval import published
from bayling_eval.cli.main import main
from bayling_eval.published import PublishedScore
from bayling_eval.report import printed as papers

LANGS = {"eng": "eng_Latn", "deu": "deu_Latn", "tha": "tha_Thai"}
PAIRS = ("eng_Latn-deu_Latn", "eng_Latn-tha_Thai", "deu_Latn-eng_Latn")
# experiment_results/NLLB-200/{spBLEU_score,comet_score}/*.csv of CONE-MT/LLaMAX at 0eeec0b:
# rows en-x and x-en, columns de and th.
SPBLEU = {"eng_Latn-deu_Latn": 42.58, "eng_Latn-tha_Thai": 19.51, "deu_Latn-eng_Latn": 46.91}
SAYS = "published: numbers of Lu et al. 2024 (licence: MIT) on 0 to 100, as context: not tested"


def printed(system: str, pair: str, metric: str, value: float) -> PublishedScore:
    src, tgt = pair.split("-")
    return PublishedScore(
        source="llamax",
        citation="Lu et al. 2024",
        table="en-x" if src == "eng_Latn" else "x-en",
        licence="MIT",
        system=system,
        task=f"flores101_{pair}",
        family="flores101",
        src_lang=src,
        tgt_lang=tgt,
        metric=f"{metric}-published",
        value=value,
        note="",
    )


SCORES = (
    *(printed("NLLB-200", pair, "spbleu", value) for pair, value in SPBLEU.items()),
    printed("NLLB-200", "eng_Latn-deu_Latn", "comet", 87.47),
    printed("Aya-101", "eng_Latn-deu_Latn", "spbleu", 35.80),
)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Two systems scored on three directions of invented Flores-101; a few published numbers."""
    base = tmp_path / "data" / "flores101" / "flores101_dataset"
    for code, lang in LANGS.items():
        write_lines(base / "devtest" / f"{code}.devtest", sentences(lang))
    urls = [f"https://example.org/{index // 3}\tnews" for index in range(SEGMENTS)]
    write_lines(base / "metedata_devtest.tsv", ["URL\tdomain", *urls])
    monkeypatch.setattr(published, "load", lambda folder=None: SCORES)
    monkeypatch.setenv("BAYLING_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("BAYLING_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)

    def invoke(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    for name, every in (("good", 6), ("bad", 2)):
        for pair in PAIRS:
            lines = sentences(pair.partition("-")[2])
            write_lines(tmp_path / name / f"{pair}.txt", spoil(lines, every, "a"))
        code, _, err = invoke("import", name, "--suite", "flores101", "--hypotheses", name)
        assert code == 0, err
    assert invoke("score", "--jobs", "1", "--metric", "chrf", "--metric", "bleu")[0] == 0
    return invoke


def compared(run, *words: str) -> tuple[int, str, str]:
    return run("compare", "bad", "good", "--trials", "1000", "--metric", "chrf", *words)


def test_a_comparison_has_the_published_numbers_of_its_tasks_by_name(run):
    code, out, err = compared(run, "--published", "NLLB-200", "--json", "-q")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert list(document)[:3] == ["schema", "rows", "macro"]
    assert document["published"][0] == {
        "task": "flores101_eng_Latn-deu_Latn",
        "src_lang": "eng_Latn",
        "tgt_lang": "deu_Latn",
        "system": "NLLB-200",
        "metric": "spbleu-published",
        "value": 42.58,
        "citation": "Lu et al. 2024",
        "table": "en-x",
        "licence": "MIT",
    }
    assert len(document["published"]) == 4
    means = {(m["group"], m["metric"]): m for m in document["published_macro"]}
    mean = means["flores101 eng_Latn-x", "spbleu-published"]
    assert mean["value"] == pytest.approx((42.58 + 19.51) / 2)
    assert (mean["n"], mean["n_expected"], mean["licence"]) == (2, 2, "MIT")
    assert means["flores101 eng_Latn-x", "comet-published"]["n"] == 1
    assert [(c["source"], c["systems"]) for c in document["citations"]] == [
        ("llamax", ["NLLB-200"])
    ]


def test_what_is_published_changes_no_number_of_ours(run):
    alone = json.loads(compared(run, "--json", "-q")[1])
    beside = json.loads(compared(run, "--published", "all", "--json", "-q")[1])
    assert list(alone) == ["schema", "rows", "macro"]
    assert {key: beside[key] for key in alone} == alone


@pytest.mark.parametrize(("form", "sign"), [("table", "  "), ("md", "|"), ("latex", "&")])
def test_every_format_has_a_column_a_published_system(run, form, sign):
    plain = compared(run, "-q", "--format", form)[1]
    code, out, _ = compared(
        run, "--published", "NLLB-200", "--published", "Aya-101", "-q", "--format", form
    )
    assert code == 0
    assert "published" not in plain
    lines = [line for line in out.split("\n") if sign in line and "mean" not in line]
    # LaTeX cuts a table that is too wide: head and row may stand in two parts.
    heads = " ".join(line for line in lines if "spbleu-published" in line)
    assert all(f"{name} spbleu-published" in heads for name in ("NLLB-200", "Aya-101"))
    german = " ".join(line for line in lines if "deu" in line and line.count(sign) > 2)
    assert all(text in german for text in ("eng", "42.58", "87.47", "35.80"))
    assert "mean of NLLB-200 spbleu-published: flores101 eng" in out.replace("\\_", "_")
    assert SAYS.replace("published: ", "") in out
    assert "doi:10.18653/v1/2024.findings-emnlp.631" in out


def test_csv_has_the_columns_and_whose_they_are(run):
    rows = list(
        csv.DictReader(
            io.StringIO(compared(run, "--published", "NLLB-200", "-q", "--format", "csv")[1])
        )
    )
    values = {row["task"]: row["NLLB-200 spbleu-published"] for row in rows}
    assert values == {f"flores101_{pair}": str(value) for pair, value in SPBLEU.items()}
    assert {row["NLLB-200 comet-published"] for row in rows} == {"87.47", ""}
    assert {row["published_citation"] for row in rows} == {SAYS}


def test_another_test_set_is_not_matched(run, monkeypatch):
    """The same direction of FLORES-200 has other texts."""
    other = tuple(replace(s, task=s.task.replace("101", "200"), family="flores200") for s in SCORES)
    monkeypatch.setattr(published, "load", lambda folder=None: other)
    code, out, _ = compared(run, "--published", "NLLB-200", "-q")
    assert (code, "42.58" in out) == (0, False)
    assert "NLLB-200 has no number of these tasks; its numbers are of others (flores200)" in out
    code, out, err = compared(run, "--published", "NLLB-200", "--json")
    assert (code, json.loads(out)["published"]) == (0, [])
    assert "has no number of these tasks" in err
    assert "no system has a number" in compared(run, "--published", "all", "-q")[1]


@pytest.mark.parametrize("verb", [("compare", "bad", "good"), ("scores",)])
def test_a_mistyped_system_gets_a_suggestion(run, verb):
    code, out, err = run(*verb, "--published", "nllb-20")
    assert (code, out) == (2, "")
    assert "unknown published system 'nllb-20'. Did you mean 'NLLB-200'?" in one_line(err)


def test_tables_of_all_systems_have_no_place_for_them(run):
    words = ("--published", "NLLB-200", "--format", "latex", "--rows", "system")
    code, out, err = compared(run, *words)
    assert (code, out) == (2, "")
    assert "leave out --rows" in one_line(err)


# scores


def test_scores_have_published_rows_with_the_keys_of_ours(run):
    ours = json.loads(run("scores", "good", "--json")[1])["rows"]
    document = json.loads(run("scores", "good", "--published", "NLLB-200", "--json")[1])
    assert document["rows"][: len(ours)] == ours
    rows = document["rows"][len(ours) :]
    assert len(rows) == 4
    assert all(list(row) == list(ours[0]) for row in rows)
    first = rows[0]
    assert (first["system"], first["task"]) == ("NLLB-200", "flores101_eng_Latn-deu_Latn")
    assert (first["metric"], first["value"], first["status"]) == ("spbleu-published", 42.58, "ok")
    assert (first["signature"], first["n"], first["settings"], first["stderr"]) == (None,) * 4
    assert first["reason"] == "Lu et al. 2024, en-x, MIT"
    assert document["citations"][0]["licence"] == "MIT"


def test_without_a_system_only_the_published_ones_are_listed(run):
    rows = json.loads(run("scores", "--published", "all", "--json")[1])["rows"]
    assert {row["system"] for row in rows} == {"NLLB-200", "Aya-101"}
    out = run("scores", "--published", "Aya-101")[1]
    assert "35.800" in out
    assert SAYS in out


def test_scores_can_be_cut_to_a_published_metric(run):
    words = ("--published", "NLLB-200", "--metric", "comet-published", "--json")
    rows = json.loads(run("scores", "good", *words)[1])["rows"]
    assert [(row["metric"], row["value"]) for row in rows] == [("comet-published", 87.47)]
    code, _, err = run("scores", "--published", "NLLB-200", "--metric", "spblue-published")
    assert code == 2
    assert "Did you mean 'spbleu-published'" in one_line(err)
    code, _, err = run("scores", "--metric", "spbleu-published")
    assert code == 2
    assert "--published SYSTEM" in one_line(err)


# report


@pytest.fixture
def reported(run, tmp_path):
    """Return the page and report.json of a report with published scores."""
    words = ["report", "r", "--candidate", "bad", "--baseline", "good", "--trials", "1000", "-q"]
    words += ["--metric", "chrf", "--reports", tmp_path / "reports"]

    def invoke(*more: str) -> tuple[str, dict]:
        code, _, err = run(*words, *more)
        assert code == 0, err
        folder = tmp_path / "reports" / "r"
        page = (folder / "index.html").read_text(encoding="utf-8")
        return page, json.loads((folder / "report.json").read_text(encoding="utf-8"))

    return invoke


def test_a_report_shows_published_scores_as_context(reported, tmp_path):
    page, document = reported("--published", "NLLB-200")
    section = page[page.index('<section id="published"') :].partition("</section>")[0]
    for said in ("42.58", "19.51", "46.91", "87.47", "NLLB-200", "spbleu-published", "MIT"):
        assert said in section
    assert "Nothing is tested against them" in section
    # Two directions of a side are too few for a mean, here as elsewhere on the page.
    assert "too few</span><small>2/2</small>" in section
    assert {(r["task"], r["value"]) for r in document["published"]} >= {
        (f"flores101_{pair}", value) for pair, value in SPBLEU.items()
    }
    directions = page[page.index('<table class="sortable">') :].partition("</table>")[0]
    assert directions.count("spbleu-published, not tested") == 1
    assert '<td data-s="42.58">42.58' in directions
    assert "not printed" in directions
    means = {(m["group"], m["metric"]): m for m in document["published_macro"]}
    mean = means["flores101 eng_Latn-x", "spbleu-published"]
    assert mean["value"] == pytest.approx((42.58 + 19.51) / 2)
    table = (tmp_path / "reports/r/tables/published.csv").read_text(encoding="utf-8")
    assert "42.58" in table
    assert "--published NLLB-200" in document["provenance"]["command"]


def test_published_scores_change_no_row_of_a_report(reported):
    plain, beside = reported()[1], reported("--published", "all")[1]
    for key in ("rows", "macro", "scores"):
        assert plain[key] == beside[key]
    assert plain["published"] == []
    assert "Published scores" not in reported()[0]


def test_many_published_columns_stand_in_their_section_alone(reported, monkeypatch):
    monkeypatch.setattr(papers, "COLUMNS", 1)
    page, _ = reported("--published", "NLLB-200")
    directions = page[page.index('<table class="sortable">') :].partition("</table>")[0]
    assert "published" not in directions
    assert "42.58" in page[page.index('<section id="published"') :].partition("</section>")[0]
