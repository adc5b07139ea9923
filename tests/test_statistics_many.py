"""Many tasks drawn together: the numbers are those of each task alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayling_eval import statistics
from bayling_eval.metrics import MetricSpec, make

chrf, bleu = (make(MetricSpec(name)) for name in ("chrf++", "bleu"))


def counted(draw, n, columns, high):
    """Statistics as of texts: whole numbers."""
    return draw.integers(0, high, (n, columns)).astype(np.float64)


def alone(formula, observed, candidate, baseline, trials):
    pseudo = statistics.trial_sums(candidate, baseline, trials)
    return statistics.randomisation_p(formula, observed, pseudo)


def observed(formula, candidate, baseline):
    return float(formula(candidate.sum(axis=0)) - formula(baseline.sum(axis=0)))


@pytest.mark.parametrize("scale", [1.0, 0.3], ids=["whole", "broken"])
def test_tasks_of_any_lengths_get_what_they_get_alone(scale):
    draw = np.random.default_rng(5)
    sides = [
        (counted(draw, n, 24, 30) * scale, counted(draw, n, 24, 30) * scale)
        for n in [40] * 30 + [7, 1, 40, 7]
    ]
    tested = [(observed(chrf.aggregate, *pair), *pair) for pair in sides]
    found = statistics.randomisation_ps(chrf.aggregate, tested, 300)
    assert found == [alone(chrf.aggregate, *one, 300) for one in tested]
    assert len(set(found)) > 10
    drawn = statistics.resampled(chrf.aggregate, [one for one, _ in sides], 50)
    for samples, (one, _) in zip(drawn, sides, strict=True):
        expected = chrf.aggregate(statistics.bootstrap_sums(one, 50))
        assert samples == pytest.approx(expected, rel=1e-12)
        assert scale != 1 or (samples == expected).all()


@pytest.mark.parametrize("high", [2, 40], ids=["orders without a match", "all matched"])
def test_a_quicker_formula_gives_the_same_p(high):
    draw = np.random.default_rng(6)
    sides = [(counted(draw, 25, 10, high), counted(draw, 25, 10, high)) for _ in range(8)]
    sides.append((sides[0][0], sides[0][0]))
    tested = [(observed(bleu.aggregate, *pair), *pair) for pair in sides]
    plain = statistics.randomisation_ps(bleu.aggregate, tested, 400)
    assert statistics.randomisation_ps(bleu.aggregate, tested, 400, bleu.nearly) == plain
    assert plain[-1] == 1.0


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**40), min_size=10, max_size=10))
def test_the_quicker_bleu_is_bleu_or_no_number(row):
    sums = np.array(row, dtype=np.float64)
    sums[6:10] += sums[2:6]
    found = float(bleu.nearly(sums))
    assert np.isnan(found) == bool((sums[2:6] == 0).any())
    assert np.isnan(found) or found == pytest.approx(float(bleu.aggregate(sums)), abs=1e-9)


def test_sums_too_large_for_single_precision_are_exact():
    values = np.full((3, 1), 2.0**24 + 1)
    one, other = statistics.trial_sums(values, np.zeros((3, 1)), 50)
    assert set((one / (2**24 + 1)).ravel()) <= {0.0, 1.0, 2.0, 3.0}
    assert (one + other == 3 * (2.0**24 + 1)).all()
    assert (statistics.bootstrap_sums(values, 20) == 3 * (2.0**24 + 1)).all()


def test_nothing_is_tested_where_nothing_is_there():
    assert statistics.randomisation_ps(chrf.aggregate, [], 10) == []
    assert statistics.resampled(chrf.aggregate, [], 10) == []
