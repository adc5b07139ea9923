"""Rows of scores as they stand: what is planned has one, and says whether its value stands."""

import json

import pytest
from echo_lab import Lab, selection

from bayling_eval import answers, evaluate, responses, run, store, tables
from bayling_eval.evaluate import Order
from bayling_eval.plan import SuiteSelection, SuiteTasks
from bayling_eval.records import Score
from bayling_eval.rows import status_rows
from bayling_eval.store import Cell

TASK = "sample_questions_deu_Latn"
ACCURACIES = ("acc", "acc_norm", "acc_bytes")


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path, None)


def quiz(n: int | None = None, languages: str = "deu_Latn") -> SuiteTasks:
    part = None if n is None else SuiteSelection(n=n, seed=7)
    return SuiteTasks(use="sample_questions", languages=languages, selection=part)


def cell_of(lab: Lab, part: str = "all") -> Cell:
    (system,) = store.systems(lab.results)
    (cell,) = [cell for cell in system.cells() if cell.selection == part]
    return cell


def scored(lab: Lab, cell: Cell) -> dict[str | None, Score]:
    evaluate.score_cell(cell, Order(data=lab.data))
    return {row.metric: row for row in status_rows(cell)}


def too_long(cell: Cell, *rows: int) -> None:
    """Have one choice of each of these documents be answered as too long, as an engine says it."""
    log = responses.read(cell.responses).answers
    ids = list(log)
    changed = [log[ids[4 * row + 1]] for row in rows]
    responses.append(
        cell.responses / "run.jsonl",
        [r.model_copy(update={"answer": "", "finish_reason": "too_long"}) for r in changed],
    )
    found = responses.read(cell.responses).answers
    digest = answers.digest_lines(found[one].answer for one in ids)
    planned = cell.plan().tasks[TASK].model_copy(update={"answers_digest": digest})
    store.save(cell.path(store.PLAN), store.Plan(tasks={TASK: planned}))


def test_a_row_says_who_what_and_how(lab):
    model = lab.model(series="small", step=500)
    lab.ask(quiz())
    store.save(cell_of(lab).system.folder / store.MODEL, model.file)
    row = scored(lab, cell_of(lab))["acc"]
    assert (row.system, row.series, row.step) == ("echo", "small", 500)
    assert (row.task, row.family, row.lang, row.src_lang) == (
        TASK, "sample_questions", "deu_Latn", None,
    )  # fmt: skip
    assert (row.selection, row.num_fewshot, row.filter, row.n) == ("all", 0, "none", 16)
    assert (row.status, row.reason, row.n_unscored) == ("ok", None, 0)
    assert row.settings_digest.startswith(row.settings)
    assert row.value * 16 == round(row.value * 16)


def test_a_declared_subset_is_whole_and_a_limit_is_not(lab):
    lab.ask(quiz(5))
    rows = scored(lab, cell_of(lab, "n5-seed7"))
    assert {(row.selection, row.n, row.status) for row in rows.values()} == {("n5-seed7", 5, "ok")}
    run.run([lab.model()], selection(quiz()), lab.order(limit=3), lambda _: lambda _: None)
    rows = scored(lab, cell_of(lab, "limit-3"))
    assert {(row.selection, row.n, row.status) for row in rows.values()} == {
        ("limit-3", 3, "partial")
    }
    assert {row.reason for row in rows.values()} == {"only the first 3 documents (--limit)"}


def test_documents_left_out_make_a_partial_value_of_the_others(lab):
    lab.ask(quiz())
    cell = cell_of(lab)
    before = scored(lab, cell)
    right = _right(cell)
    too_long(cell, 3, 9)
    stale = {row.status for row in status_rows(cell)}
    after = scored(lab, cell)
    assert stale == {"stale"}
    assert set(after) == set(ACCURACIES)
    kept = [value for row, value in enumerate(right) if row not in (3, 9)]
    assert after["acc"].value == pytest.approx(sum(kept) / 14)
    for row in after.values():
        assert (row.n, row.n_unscored, row.status) == (16, 2, "partial")
        assert row.reason == (
            "2 of 16 documents have a prompt that exceeds the model's context; they are left out"
        )
        assert row.documents_digest == before[str(row.metric)].documents_digest
        assert row.ci_low <= row.value <= row.ci_high


def _right(cell: Cell) -> list[float]:
    stored = tables.read_statistics(cell.path(store.STATISTICS), ["acc"])
    return [float(value) for value in stored[0].values[:, 0]]


def test_where_no_document_can_be_scored_there_is_no_value(lab):
    lab.ask(quiz())
    cell = cell_of(lab)
    too_long(cell, *range(16))
    rows = scored(lab, cell)
    assert set(rows) == set(ACCURACIES)
    for row in rows.values():
        assert (row.value, row.stderr, row.ci_low, row.ci_high) == (None,) * 4
        assert (row.status, row.n, row.n_unscored) == ("unscored", 16, 16)
        assert row.reason
    json.loads(cell.path(store.SCORES).read_text(), parse_constant=pytest.fail)
    # What was kept is read again, and nothing is counted anew.
    assert evaluate.score_cell(cell, Order(data=lab.data)) == 0


def test_a_task_that_waits_for_answers_is_missing_and_no_error(lab):
    lab.ask(quiz(languages="deu_Latn,eng_Latn"))
    cell = cell_of(lab)
    tasks = cell.plan().tasks
    waiting = {TASK: tasks[TASK].model_copy(update={"answers_digest": None})}
    store.save(cell.path(store.PLAN), store.Plan(tasks={**tasks, **waiting}))
    rows = {(row.task, row.status): row for row in status_rows(cell)}
    assert set(rows) == {(TASK, "missing"), ("sample_questions_eng_Latn", "unscored")}
    missing = rows[TASK, "missing"]
    assert (missing.value, missing.metric, missing.signature, missing.filter) == (None,) * 4
    assert (missing.n, missing.n_unscored) == (16, 16)
    assert "run the same again" in missing.reason


def test_answers_that_are_lost_again_take_the_value_with_them(lab):
    lab.ask(quiz())
    cell = cell_of(lab)
    scored(lab, cell)
    planned = cell.plan().tasks[TASK].model_copy(update={"answers_digest": None})
    store.save(cell.path(store.PLAN), store.Plan(tasks={TASK: planned}))
    assert {(row.status, row.value) for row in status_rows(cell)} == {("stale", None)}


def test_scores_that_were_changed_by_hand_are_not_shown(lab):
    lab.ask(quiz())
    cell = cell_of(lab)
    scored(lab, cell)
    path = cell.path(store.SCORES)
    path.write_text(path.read_text() + "\n")
    (row,) = status_rows(cell)
    assert (row.status, row.value) == ("unscored", None)
    assert row.reason.startswith("scores.json is not what its manifest names: run `bayling-eval sc")
