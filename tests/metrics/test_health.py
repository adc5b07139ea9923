"""Rates over the outputs."""

import numpy as np
import pytest

from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec, Segments, make


def score(name, segments):
    metric = make(MetricSpec(name))
    found = metric.statistics(segments)
    return float(metric.aggregate(found.values.sum(axis=0))), found


@pytest.mark.parametrize(
    ("outputs", "rate"),
    [
        (["a", "b"], 0.0),
        (["", "b"], 0.5),
        ([" \t\n\u3000\u00a0\u2028", ""], 1.0),
        # A zero-width space and a NUL are characters that a scorer sees.
        (["\u200b", "\0", "."], 0.0),
        ([""], 1.0),
    ],
)
def test_empty_rate(outputs, rate):
    value, found = score("empty_rate", Segments("eng_Latn", outputs, {"ref": ["x"] * len(outputs)}))
    assert value == rate
    assert found.values.shape == (len(outputs), 2)
    assert found.signature == "empty:strip|version:1"


@pytest.mark.parametrize(
    ("outputs", "references", "ratio"),
    [
        (["abcd"], {"ref": ["ab"]}, 2.0),
        (["", "ab"], {"ref": ["ab", "ab"]}, 0.5),
        (["", ""], {"ref": ["ab", "ab"]}, 0.0),
        # The mean of two references: (2 + 4) / 2 and (0 + 2) / 2 characters.
        (["ab", "ab"], {"A": ["ab", ""], "B": ["abcd", "ab"]}, 1.0),
        # A code point is a character, whatever its bytes.
        (["\U0001f600中"], {"ref": ["ab"]}, 1.0),
    ],
)
def test_length_ratio_is_of_the_whole_corpus(outputs, references, ratio):
    value, found = score("length_ratio", Segments("eng_Latn", outputs, references))
    assert value == ratio
    named = "" if "ref" in references else "|refs:A,B"
    assert found.signature == f"nrefs:{len(references)}|unit:char|version:1{named}"


def test_length_ratio_of_nothing_over_nothing_is_not_a_number():
    value, _ = score("length_ratio", Segments("eng_Latn", [""], {"ref": [""]}))
    assert np.isnan(value)


def test_length_ratio_over_nothing_is_not_finite():
    value, _ = score("length_ratio", Segments("eng_Latn", ["a"], {"ref": [""]}))
    assert not np.isfinite(value)


@pytest.mark.parametrize("name", ["empty_rate", "length_ratio"])
def test_many_sums_at_once(name):
    sums = np.array([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [5.0, 5.0]]])
    expected = [[0.5, 0.75], [0.0, 1.0]]
    assert make(MetricSpec(name)).aggregate(sums).tolist() == expected


@pytest.mark.parametrize(
    ("name", "better"), [("empty_rate", False), ("length_ratio", None), ("bleu", True)]
)
def test_direction_of_the_metric(name, better):
    assert make(MetricSpec(name)).higher_is_better is better


@pytest.mark.parametrize("name", ["empty_rate", "length_ratio"])
def test_options_are_refused(name):
    with pytest.raises(UserError, match=f"metric {name}:unit=word: {name} has no options"):
        make(MetricSpec.parse(f"{name}:unit=word"))
