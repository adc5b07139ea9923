"""Chance-corrected accuracy: by hand, and on runs whose questions have other numbers of choices."""

import numpy as np
import pytest
from echo_lab import Lab

from bayling_eval import evaluate, metrics, store
from bayling_eval.errors import UserError
from bayling_eval.evaluate import Order
from bayling_eval.metrics import MetricSpec, Segments
from bayling_eval.plan import SuiteTasks

CORRECTED = MetricSpec("acc_chance_corrected")
METRIC = metrics.make(CORRECTED)


def segments(acc: list[float], choices: list[int]) -> Segments:
    n = len(acc)
    return Segments("", ["x"] * n, {"ref": ["y"] * n}, {"acc": acc}, choices=choices)


def value(acc: list[float], choices: list[int]) -> float:
    return float(METRIC.aggregate(METRIC.statistics(segments(acc, choices)).values.sum(axis=0)))


def test_guessing_is_nothing_and_all_right_is_one():
    # One of four right, and one of two: as often as by chance.
    assert value([1, 0, 0, 0], [4, 4, 4, 4]) == pytest.approx(0)
    assert value([1, 0], [2, 2]) == pytest.approx(0)
    assert value([1, 1, 1], [2, 3, 4]) == 1
    assert METRIC.higher_is_better


def test_worse_than_chance_is_less_than_nothing():
    assert value([0, 0], [2, 2]) == -1
    assert value([0, 0], [4, 4]) == pytest.approx(-1 / 3)


def test_each_question_has_its_own_chance():
    # (1 - 1/2) / (1/2) = 1 and (0 - 1/4) / (3/4) = -1/3.
    found = METRIC.statistics(segments([1, 0], [2, 4])).values
    assert found == pytest.approx(np.array([[1, 1], [-1 / 3, 1]]))


def test_its_signature_says_what_is_corrected():
    assert METRIC.signature("", ()) == (
        "agg:mean|filter:none|of:acc|chance:1/choices|version:lm-eval-0.4.13"
    )


@pytest.mark.parametrize("choices", [[2, 1], [2, 0], [2], []])
def test_without_choices_chance_is_not_known(choices):
    with pytest.raises(UserError, match="a question has fewer than two choices"):
        METRIC.statistics(segments([1, 0], choices))


def test_options_are_refused():
    with pytest.raises(UserError, match="unknown option of acc_chance_corrected 'filter'"):
        metrics.make(MetricSpec.parse("acc_chance_corrected:filter=none"))


def test_it_is_added_to_a_finished_run(tmp_path, small_data, monkeypatch):
    lab = Lab(tmp_path, small_data)
    lab.ask(SuiteTasks(use="sample_questions", languages="deu_Latn,eng_Latn"))
    ((cell,),) = (system.cells() for system in store.systems(lab.results))
    evaluate.score_cell(cell, Order(data=small_data))
    monkeypatch.setattr("bayling_eval.backends.load", None)
    evaluate.score_cell(cell, Order((CORRECTED,), data=small_data))
    rows = {(row.lang, row.metric): row.value for row in cell.scores()}
    for lang in ("deu_Latn", "eng_Latn"):
        # The questions of the sample have four choices each: bayling_eval/data/sample.
        acc = rows[lang, "acc"]
        assert rows[lang, CORRECTED.name] == pytest.approx((acc - 1 / 4) / (3 / 4))
