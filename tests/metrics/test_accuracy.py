"""Means of lm-eval's per-sample metrics: values, errors and signatures."""

import numpy as np
import pytest
from lm_eval.api.metrics import mean_stderr

from bayling_eval import metrics
from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec, Segments
from bayling_eval.statistics import bootstrap_sums

MULTIPLE_CHOICE = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
NAMES = (*MULTIPLE_CHOICE, "exact_match")


def made(text: str):
    return metrics.make(MetricSpec.parse(text))


def segments(n: int = 4, **values) -> Segments:
    return Segments("", ["x"] * n, {"ref": ["y"] * n}, values)


@pytest.mark.parametrize("name", NAMES)
def test_the_score_is_the_mean_of_the_tasks_own_values(name):
    metric = made(name)
    found = metric.statistics(segments(**{name: (1.0, 0.0, 1.0, 1.0)}))
    assert found.values.tolist() == [[1, 1], [0, 1], [1, 1], [1, 1]]
    assert metric.aggregate(found.values.sum(axis=0)) == 0.75
    assert metric.higher_is_better
    assert not metric.of_texts


def test_values_that_are_no_whole_numbers_are_averaged_too():
    metric = made("exact_match")
    found = metric.statistics(segments(3, exact_match=(0.25, 0.5, 0.0)))
    assert metric.aggregate(found.values.sum(axis=0)) == 0.25


def test_many_sums_are_scored_at_once_and_none_is_no_number():
    found = made("acc").aggregate(np.array([[[3.0, 4.0], [0.0, 4.0]], [[4.0, 4.0], [0.0, 0.0]]]))
    assert found[0].tolist() == [0.75, 0.0]
    assert found[1][0] == 1.0
    assert np.isnan(found[1][1])


def test_the_error_is_lm_evals():
    draw = np.random.default_rng(1)
    values = (draw.random(500) < 0.6).astype(float)
    metric = made("acc")
    rows = metric.statistics(segments(500, acc=tuple(values))).values
    bootstrap = metric.aggregate(bootstrap_sums(rows)).std(ddof=1)
    # lm-eval divides the sample's own deviation by the root of n.
    assert bootstrap == pytest.approx(mean_stderr(values.tolist()), rel=0.08)


# Which value is averaged


def test_a_filter_chooses_among_the_values_of_one_metric():
    both = {"exact_match:filter=strict": (0.0, 0.0), "exact_match:filter=flexible": (1.0, 0.0)}
    for name, mean in (("strict", 0.0), ("flexible", 0.5)):
        metric = made(f"exact_match:filter={name}")
        found = metric.statistics(segments(2, **both))
        assert metric.aggregate(found.values.sum(axis=0)) == mean
        assert f"|filter:{name}|" in found.signature


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "acc: the task gives a number for 0 of 4 documents"),
        ({"acc_norm": (1.0,) * 4}, "acc: the task gives a number for 0 of 4 documents"),
        ({"acc": (1.0, 0.0)}, "acc: the task gives a number for 2 of 4 documents"),
        ({"acc:filter=strict": (1.0,) * 4}, "acc: the task gives a number for 0 of 4"),
    ],
)
def test_a_value_that_is_not_there_for_each_document_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        made("acc").statistics(segments(**given))


def test_no_documents_are_no_rows():
    found = made("acc").statistics(segments(0))
    assert found.values.shape == (0, 2)
    assert np.isnan(made("acc").aggregate(found.values.sum(axis=0)))


@pytest.mark.parametrize("text", ["acc:norm=char", "acc:filter=a,lowercase=yes"])
def test_another_option_is_refused(text):
    with pytest.raises(UserError, match="unknown option of acc"):
        made(text)


# Signatures


def signature(text: str) -> str:
    return made(text).signature("", ())


def test_a_signature_says_how_a_choice_was_made_and_who_said_so():
    # How lm_eval.api.task.ConfigurableTask.process_results (0.4.13) divides: see test_evaluate.py.
    assert signature("acc") == "agg:mean|filter:none|norm:none|version:lm-eval-0.4.13"
    assert signature("acc_norm") == "agg:mean|filter:none|norm:char|version:lm-eval-0.4.13"
    assert signature("acc_bytes") == "agg:mean|filter:none|norm:byte|version:lm-eval-0.4.13"
    assert "|norm:unconditional|" in signature("acc_mutual_info")
    assert signature("exact_match") == "agg:mean|filter:none|version:lm-eval-0.4.13"


def test_signatures_differ_where_numbers_may():
    texts = [*MULTIPLE_CHOICE, "exact_match", *(f"{name}:filter=strict" for name in NAMES)]
    assert len({signature(text) for text in texts}) == len(texts)


def test_the_default_filter_may_be_written():
    assert signature("acc:filter=none") == signature("acc")
    values = segments(2, acc=(1.0, 0.0))
    both = [made(text).statistics(values).values.tolist() for text in ("acc", "acc:filter=none")]
    assert both[0] == both[1] == [[1, 1], [0, 1]]
