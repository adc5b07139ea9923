"""What becomes of the answers of a run: tables, comparisons, pages, exports, further metrics."""

import json
from pathlib import Path

import pytest
from cli_runs import ECHO, asked, one_line, running, scores


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    yield from running(tmp_path, monkeypatch, capfd)


def test_systems_of_questions_are_printed_compared_reported_and_exported(run):
    for name in ("one", "two"):
        asked(run, "sample_questions", "--languages", "de,en", *ECHO, "--name", name)
    table = run("one", verb="scores")[1]
    assert len(table.strip().split("\n")) == 1 + 2 * 3
    assert "agg:mean|filter:none|norm:char" in table
    code, out, _ = run("one", "two", "-q", verb="compare")
    assert code == 0
    assert [line for line in out.split("\n") if line.startswith("acc")] == [
        f"{metric}: one against two, 2 tasks" for metric in ("acc", "acc_norm", "acc_bytes")
    ]
    groups = [line.split() for line in out.split("\n") if line.startswith("sample_questions all  ")]
    # Verdicts from regressed to missing: nothing changed in either task.
    assert [line[-8:] for line in groups] == [list("00020000")] * 3
    assert "other" not in out
    before = json.loads(run("one", "two", "--json", "-q", verb="compare")[1])
    assert {row["group"] for row in before["macro"]} == {"sample_questions all"}
    code, out, err = run("page", "--candidate", "one", "--baseline", "two", "-q", verb="report")
    assert (code, err) == (0, "")
    assert "sample_questions, German" in Path(out.strip()).read_text(encoding="utf-8")
    assert run("one", "-o", "one.zip", verb="export")[0] == 0
    assert json.loads(run("one.zip", "two", "--json", "-q", verb="compare")[1]) == before


def test_metrics_are_added_to_the_kind_of_task_that_has_them(run):
    for use, language in (("sample", "cym_Latn"), ("sample_questions", "deu_Latn")):
        asked(run, use, "--languages", language, *ECHO, "--no-score")

    def metrics() -> dict[str, list[str | None]]:
        rows = scores(run)
        return {f: sorted({r["metric"] or "-" for r in rows if r["family"] == f})
                for f in ("sample", "sample_questions")}  # fmt: skip

    assert run("--metric", "bleu", "-q", verb="score") == (0, "", "")
    assert metrics() == {"sample": ["bleu"], "sample_questions": ["-"]}
    assert run("--metric", "acc", "-q", verb="score") == (0, "", "")
    assert metrics() == {"sample": ["bleu"], "sample_questions": ["acc"]}
    code, _, err = run("--metric", "exact_match", "-q", verb="score")
    assert (code, "none of these tasks has metric 'exact_match'" in one_line(err)) == (2, True)
    assert metrics() == {"sample": ["bleu"], "sample_questions": ["acc"]}
