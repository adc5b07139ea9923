"""Several cells at once: the same files as one by one, faults of one alone, work done once."""

from typing import ClassVar

import numpy as np
import pytest
from conftest import sentences, spoil, write_lines

from bayling_eval import counting, evaluate, plan, store, tables
from bayling_eval.counting import Item, Workers, score_items
from bayling_eval.errors import IncompleteError, UserError
from bayling_eval.evaluate import Order
from bayling_eval.imports import import_outputs
from bayling_eval.metrics import MetricSpec, Statistics, counts, ngrams
from bayling_eval.records import Job
from bayling_eval.store import Cell

PAIRS = {
    "eng_Latn-deu_Latn": "deu_Latn",
    "eng_Latn-zho_Hans": "zho_Hans",
    "zho_Hans-deu_Latn": "deu_Latn",
}
FILES = (store.SCORES, store.STATISTICS, store.SAMPLES)
METRICS = (MetricSpec("bleu"), MetricSpec("chrf++"), MetricSpec("empty_rate"))
TASK = "flores200_eng_Latn-deu_Latn"


@pytest.fixture
def cells(tmp_path, small_data) -> list[Cell]:
    """Seven imported systems, each with other faults: more than go side by side."""
    results, chosen = tmp_path / "results", plan.selected(plan.load("flores200"))
    for number in range(7):
        for pair, lang in PAIRS.items():
            lines = spoil(sentences(lang), 2 + number, sentences(lang, 9)[number])
            write_lines(tmp_path / f"outputs{number}" / f"{pair}.txt", lines)
        folder = tmp_path / f"outputs{number}"
        import_outputs(results, f"system{number}", chosen, folder, small_data)
    return [cell for system in store.systems(results) for cell in system.cells()]


@pytest.fixture
def order(small_data) -> Order:
    return Order(METRICS, data=small_data)


def score(cells: list[Cell], order: Order) -> dict[str, evaluate.Outcome]:
    found = evaluate.score_cells(cells, order, lambda _: lambda _: None)
    return {cell.system.name: outcome for cell, outcome in found}


def content(cells: list[Cell]) -> list[bytes]:
    return [cell.path(name).read_bytes() for cell in cells for name in FILES]


def forget(cells: list[Cell]) -> None:
    for cell in cells:
        for name in (*FILES, store.MANIFEST):
            cell.path(name).unlink()


@pytest.mark.parametrize("jobs", [1, 2])
def test_cells_side_by_side_give_the_files_that_each_gives_alone(cells, order, small_data, jobs):
    for cell in cells:
        assert evaluate.score_cell(cell, order) == len(PAIRS)
    before = content(cells)
    forget(cells)
    found = score(cells, Order(METRICS, data=small_data, jobs=jobs))
    assert found == {f"system{number}": len(PAIRS) for number in range(7)}
    assert content(cells) == before
    assert set(score(cells, order).values()) == {0}


def test_scores_stand_in_the_order_of_the_plan(cells, order):
    score(cells[:1], order)
    tasks = list(cells[0].plan().tasks)
    assert list(dict.fromkeys(row.task for row in cells[0].scores())) == tasks
    assert list(cells[0].manifest().tasks) == tasks


def test_references_are_prepared_once_for_all_cells(cells, order, monkeypatch):
    counts._kept.cache_clear()
    seen: list[int] = []
    original = ngrams.index

    def spy(references, order):
        seen.append(order)
        return original(references, order)

    monkeypatch.setattr(ngrams, "index", spy)
    score(cells[:5], order)
    # Two languages, whichever they are translated from.
    assert sorted(seen) == [2, 2, 4, 4, 6, 6]


def test_faults_of_one_cell_do_not_stop_the_others(cells, order):
    log = cells[1].responses / "import.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"answer":"', b'"answer":"!', 1))
    with store.locked(cells[2].path("")):
        found = score(cells[:4], order)
    assert [found["system0"], found["system3"]] == [len(PAIRS)] * 2
    assert isinstance(found["system1"], IncompleteError)
    assert isinstance(found["system2"], UserError)
    assert "another process writes to it" in str(found["system2"])
    assert [cell.path(store.MANIFEST).exists() for cell in cells[:4]] == [True, False, False, True]
    # Nobody holds a lock any more.
    for cell in cells:
        with store.locked(cell.path("")):
            pass


def item(cell: Cell, metric: str) -> Item:
    job = Job(task=TASK, metric=metric, references=("ref",))
    planned, lines = cell.plan().tasks[TASK], sentences("deu_Latn")
    segments = counting.Segments("deu_Latn", lines, {"ref": lines}, src_lang="eng_Latn")
    return Item(cell, planned, cell.manifest().tasks[TASK], None, {job: segments})


def test_what_a_users_metric_says_comes_back_from_the_process(cells, order, tmp_path):
    score(cells[:1], order)
    absent = f"{tmp_path / 'absent.py'}:Absent"
    work = [item(cells[0], absent), item(cells[0], "chrf")]
    with Workers(2) as workers:
        fault, made = workers.submit(score_items, work).result()
    assert isinstance(fault, UserError)
    assert "absent.py" in str(fault)
    ((entry, row),) = made.values()
    assert (row.value, row.ci_low, entry.metric) == (100, 100, "chrf")


def test_what_another_task_had_is_taken_over_as_it_is(cells, order, small_data):
    score(cells[:1], order)
    whole = content(cells[:1])
    forget(cells[:1])
    score(cells[:1], Order(METRICS, tasks=TASK, data=small_data))
    path, samples = cells[0].path(store.STATISTICS), cells[0].path(store.SAMPLES)
    alone = {entry.metric: entry for entry in tables.read_statistics(path)}
    texts = tables.read_samples(samples, TASK)
    assert score(cells[:1], order) == {"system0": len(PAIRS) - 1}
    kept = {e.metric: e for e in tables.read_statistics(path) if e.task == TASK}
    assert kept.keys() == alone.keys() == {str(spec) for spec in METRICS}
    for name, entry in kept.items():
        assert np.array_equal(entry.values, alone[name].values)
        assert np.array_equal(entry.documents, alone[name].documents)
    assert tables.read_samples(samples, TASK) == texts
    assert content(cells[:1]) == whole


class Engine:
    """Stands for a model that judges all tasks of a cell at once."""

    name, higher_is_better, of_texts, together = "engine", True, True, True
    calls: ClassVar[list[int]] = []

    def __init__(self, spec: MetricSpec) -> None:
        assert spec.name == "engine"

    def not_covered(self, src_lang: str, tgt_lang: str) -> str | None:
        return "no Chinese" if tgt_lang == "zho_Hans" else None

    def signature(self, tgt_lang: str, references) -> str:
        return "engine|version:1"

    def statistics_of(self, given, progress):
        self.calls.append(len(given))
        for segments in given:
            lengths = [[len(text), 1] for text in segments.hypotheses]
            yield Statistics(np.array(lengths, dtype=np.float64), self.signature("", ()))

    def aggregate(self, sums):
        return sums[..., 0] / sums[..., 1]


def test_an_engine_gets_all_tasks_of_one_cell_after_the_other(cells, small_data, monkeypatch):
    monkeypatch.setitem(evaluate.metrics.METRICS, "engine", f"{__name__}:Engine")
    monkeypatch.setattr(Engine, "calls", [])
    specs = (MetricSpec("chrf"), MetricSpec("engine"))
    score(cells[:1], Order((MetricSpec("chrf"),), data=small_data))
    found = score(cells[:3], Order(specs, data=small_data))
    assert found == {f"system{number}": len(PAIRS) for number in range(3)}
    assert Engine.calls == [2, 2, 2]
    for cell in cells[:3]:
        rows = {(row.tgt_lang, row.metric): row for row in cell.scores()}
        assert rows["zho_Hans", "engine"].reason == "no Chinese"
        assert rows["deu_Latn", "engine"].value > 10
        assert rows["deu_Latn", "chrf"].status == "ok"
        stored = tables.read_statistics(cell.path(store.STATISTICS), ["engine"])
        assert {entry.task: len(entry.values) for entry in stored} == {
            task: 0 if task.endswith("zho_Hans") else 30 for task in cell.plan().tasks
        }
        assert len(tables.read_samples(cell.path(store.SAMPLES), TASK)) == 30
