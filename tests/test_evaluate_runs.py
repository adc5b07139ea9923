"""Scores of runs: multiple choice on the real files, both kinds of task in one system."""

import json
from pathlib import Path

import pytest
from echo_lab import Lab, some
from own_tasks import write_task

from bayling_eval import evaluate, responses, store, tables
from bayling_eval.errors import IncompleteError, UserError
from bayling_eval.evaluate import Order
from bayling_eval.metrics import DEFAULT, MetricSpec
from bayling_eval.plan import SuiteTasks
from bayling_eval.rows import status_rows
from bayling_eval.store import Cell

ACCURACIES = ("acc", "acc_norm", "acc_bytes")
QUIZ = SuiteTasks(use="sample_questions", languages="deu_Latn,eng_Latn")
# Codes of data/<code>/test.<code>.jsonl by our keys, in the order of the task files.
XCOPA = {
    "est_Latn": "et", "hat_Latn": "ht", "ind_Latn": "id", "ita_Latn": "it", "qve_Latn": "qu",
    "swh_Latn": "sw", "tam_Taml": "ta", "tha_Thai": "th", "tur_Latn": "tr", "vie_Latn": "vi",
    "zho_Hans": "zh",
}  # fmt: skip


@pytest.fixture
def lab(tmp_path, small_data):
    return Lab(tmp_path, small_data)


def cells(lab: Lab) -> list[Cell]:
    return [cell for system in store.systems(lab.results) for cell in system.cells()]


def score(lab: Lab, *metrics: str, **order) -> list[int]:
    """Score everything; return how many tasks each cell counted for."""
    specs = tuple(map(MetricSpec.parse, metrics))
    asked = Order(specs, data=lab.data, **order)
    return [evaluate.score_cell(cell, asked) for cell in cells(lab)]


def found(lab: Lab) -> dict[str, set[tuple[str | None, str]]]:
    """Return metric and status of each row by family."""
    rows = [row for cell in cells(lab) for row in status_rows(cell)]
    return {
        family: {(row.metric, row.status) for row in rows if row.family == family}
        for family in {row.family for row in rows}
    }


def ok(*metrics: str) -> set[tuple[str, str]]:
    return {(metric, "ok") for metric in metrics}


def spelled(choice: str) -> str:
    # convert_choice of lm_eval/tasks/xcopa/utils.py, 0.4.13
    return choice[0].lower() + choice[1:]


def by_hand(path: Path, nats: list[float]) -> dict[str, float]:
    """Return the accuracies of a file of questions, from the log-likelihoods of their choices."""
    docs = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    right = dict.fromkeys(ACCURACIES, 0)
    for number, doc in enumerate(docs):
        ours = nats[2 * number : 2 * number + 2]
        texts = [spelled(doc[key]) for key in ("choice1", "choice2")]
        lengths = {
            "acc": [1, 1],
            "acc_norm": [len(text) for text in texts],
            "acc_bytes": [len(text.encode()) for text in texts],
        }
        for metric, by in lengths.items():
            scores = [one / length for one, length in zip(ours, by, strict=True)]
            right[metric] += scores.index(max(scores)) == doc["label"]
    return {metric: count / len(docs) for metric, count in right.items()}


def test_xcopa_is_scored_as_its_log_likelihoods_say(tmp_path, data_dir):
    lab = Lab(tmp_path, data_dir)
    lab.ask(SuiteTasks(use="xcopa"))
    (cell,) = cells(lab)
    lines = (cell.responses / "run.jsonl").read_bytes().splitlines(keepends=True)[1:]
    nats = [json.loads(responses.decode(line).answer)[0] for line in lines]
    assert len(nats) == 11 * 500 * 2
    score(lab)
    rows = {(row.lang, row.metric): row for row in cell.scores()}
    assert set(rows) == {(lang, metric) for lang in XCOPA for metric in ACCURACIES}
    for number, (lang, code) in enumerate(XCOPA.items()):
        own = nats[1000 * number : 1000 * (number + 1)]
        expected = by_hand(data_dir / "xcopa" / "data" / code / f"test.{code}.jsonl", own)
        for metric, value in expected.items():
            row = rows[lang, metric]
            assert row.value == pytest.approx(value, abs=1e-12), (lang, metric)
            assert 0.35 < row.ci_low < row.value < row.ci_high < 0.65
            assert (row.n, row.n_unscored, row.status, row.reason) == (500, 0, "ok", None)
            assert (row.task, row.src_lang, row.tgt_lang) == (f"xcopa_{lang}", None, None)
            assert (row.filter, row.num_fewshot, row.higher_is_better) == ("none", 0, True)
            # The error of a share of 500.
            assert row.stderr == pytest.approx((value * (1 - value) / 500) ** 0.5, rel=0.1)
    assert {row.signature for row in cell.scores() if row.metric == "acc_bytes"} == {
        "agg:mean|filter:none|norm:byte|version:lm-eval-0.4.13"
    }
    assert len({row.documents_digest for row in cell.scores()}) == 11


def test_two_processes_give_the_same_files(lab):
    lab.ask(QUIZ)
    names = (store.SCORES, store.STATISTICS, store.SAMPLES)
    (cell,) = cells(lab)
    score(lab)
    files = [cell.path(name).read_bytes() for name in names]
    for name in (*names, store.MANIFEST):
        cell.path(name).unlink()
    score(lab, jobs=2)
    assert [cell.path(name).read_bytes() for name in names] == files


def test_statistics_have_a_row_a_document_and_samples_too(lab):
    lab.ask(QUIZ)
    score(lab)
    (cell,) = cells(lab)
    stored = tables.read_statistics(cell.path(store.STATISTICS))
    assert {entry.values.shape for entry in stored} == {(16, 2)}
    shown = tables.read_samples(cell.path(store.SAMPLES), "sample_questions_deu_Latn")
    by_row = next(s for s in stored if (s.task, s.metric) == (shown[0].task, "acc")).values[:, 0]
    assert [one.output == one.references[0] for one in shown] == [bool(v) for v in by_row]


# Which metrics


def test_each_kind_of_task_has_its_own_metrics(lab):
    lab.ask(QUIZ, some())
    score(lab)
    assert found(lab) == {"flores200": ok(*DEFAULT), "sample_questions": ok(*ACCURACIES)}


def test_a_metric_of_texts_is_added_to_translations_alone(lab):
    lab.ask(QUIZ, some())
    score(lab)
    # Thai is scored with characters anyway, so that there is nothing to count for it.
    assert score(lab, "bleu:tokenize=char") == [2, 0]
    assert found(lab) == {"flores200": ok(*DEFAULT), "sample_questions": ok(*ACCURACIES)}
    rows = [row for cell in cells(lab) for row in cell.scores() if row.metric == "bleu"]

    assert len(rows) == 3 + 2


def test_an_accuracy_is_added_to_the_tasks_that_have_it_alone(lab):
    lab.ask(QUIZ, some())
    assert score(lab, "acc") == [0, 2]
    assert found(lab) == {"flores200": {(None, "unscored")}, "sample_questions": ok("acc")}
    score(lab, "acc_norm", "chrf")
    assert found(lab) == {"flores200": ok("chrf"), "sample_questions": ok("acc", "acc_norm")}
    # What was never asked for comes with what tasks are scored with by default.
    score(lab, reset=True)
    assert found(lab) == {"flores200": ok(*DEFAULT), "sample_questions": ok(*ACCURACIES)}


def test_what_is_asked_for_of_one_kind_of_task_forgets_nothing_of_the_other(lab):
    lab.ask(QUIZ, some())
    score(lab)
    assert score(lab, "acc", reset=True) == [0, 0]
    assert found(lab) == {"flores200": ok(*DEFAULT), "sample_questions": ok("acc")}


@pytest.mark.parametrize("metric", ["exact_match", "acc_mutual_info", "acc:filter=strict"])
def test_a_metric_that_no_task_has_is_refused_before_any_work(lab, metric):
    lab.ask(QUIZ)
    order = Order((MetricSpec.parse(metric),), data=lab.data)
    with pytest.raises(UserError, match=f"has metric '{metric}', they have: acc, acc_bytes, acc_n"):
        evaluate.check_order(cells(lab), order)
    # Where others have it, these are left as they are.
    assert score(lab, metric) == [0]


def test_a_metric_that_a_task_has_is_taken_whether_or_not_others_have_it(lab):
    lab.ask(QUIZ, some())
    for metric in ("acc_bytes", "chrf"):
        evaluate.check_order(cells(lab), Order((MetricSpec(metric),), data=lab.data))


def test_the_default_filter_may_be_named(lab):
    lab.ask(QUIZ)
    score(lab, "acc:filter=none")
    score(lab, "acc")
    (cell,) = cells(lab)
    assert [row.metric for row in cell.scores()] == ["acc", "acc"]
    assert {row.filter for row in cell.scores()} == {"none"}


def test_a_task_without_a_metric_that_is_known_says_so_and_stops_no_other(lab, tmp_path):
    folder = tmp_path / "mine"
    write_task(folder, "choices", metric_list="[{metric: brier_score}]")
    write_task(folder, "choices_fixed")
    lab.ask(include=folder)
    score(lab, include=(folder,))
    (cell,) = cells(lab)
    rows = {row.task: row for row in status_rows(cell)}
    assert rows["mine_choices_fixed"].status == "ok"
    assert (rows["mine_choices"].status, rows["mine_choices"].metric) == ("unscored", None)
    assert "manifest" not in rows["mine_choices"].reason


# What is missing


def test_a_task_that_lacks_answers_is_skipped_and_the_others_are_scored(lab):
    lab.ask(QUIZ)
    (cell,) = cells(lab)
    tasks = cell.plan().tasks
    waiting = tasks["sample_questions_eng_Latn"].model_copy(update={"answers_digest": None})
    store.save(cell.path(store.PLAN), store.Plan(tasks={**tasks, waiting.task: waiting}))
    assert score(lab) == [1]
    rows = {(r.lang, r.metric, r.status) for r in status_rows(cell)}
    assert rows == {
        ("eng_Latn", None, "missing"),
        *(("deu_Latn", metric, "ok") for metric in ACCURACIES),
    }
    reason = next(r.reason for r in status_rows(cell) if r.status == "missing")
    assert reason == "not all of its requests are answered: run the same again"
    store.save(cell.path(store.PLAN), store.Plan(tasks=tasks))
    assert score(lab) == [1]
    assert {row.status for row in status_rows(cell)} == {"ok"}


def test_a_lost_answer_keeps_the_cell_from_being_scored_and_writes_nothing(lab):
    lab.ask(QUIZ)
    (cell,) = cells(lab)
    log = cell.responses / "run.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(IncompleteError, match="1 of 64 answers for sample_questions_eng_Latn"):
        score(lab)
    assert not cell.path(store.MANIFEST).exists()
    lab.ask(QUIZ)
    assert score(lab) == [2]


def test_the_checkpoint_and_the_engine_are_not_needed_to_score(lab, monkeypatch):
    lab.ask(QUIZ)

    def refuse(*_: object) -> None:
        raise AssertionError("an engine was started")

    monkeypatch.setattr("bayling_eval.backends.load", refuse)
    monkeypatch.setattr("bayling_eval.models.Model.__init__", refuse)
    assert score(lab) == [2]


def test_what_a_task_was_scored_with_outlives_answers_that_are_incomplete(lab):
    lab.ask(some())
    score(lab, "chrf")
    (cell,) = cells(lab)
    whole = cell.plan()
    name, planned = next(iter(whole.tasks.items()))
    lacking = planned.model_copy(update={"answers_digest": None})
    store.save(
        cell.path(store.PLAN), whole.model_copy(update={"tasks": {**whole.tasks, name: lacking}})
    )
    score(lab)
    assert {(row.task, row.status) for row in status_rows(cell) if row.task == name} == {
        (name, "missing")
    }
    store.save(cell.path(store.PLAN), whole)
    assert score(lab) == [1]
    assert {(row.metric, row.status) for row in status_rows(cell)} == ok("chrf")
