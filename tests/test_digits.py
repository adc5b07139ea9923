import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayling_eval import digits


@pytest.mark.parametrize(
    ("value", "limits", "text"),
    [
        (0.497, (-0.5, 0.0, 0.5), "+0.497"),
        (0.49996, (-0.5, 0.0, 0.5), "+0.49996"),
        (-0.4999, (-0.5, 0.0, 0.5), "-0.4999"),
        (0.5, (-0.5, 0.0, 0.5), "+0.50"),
        (0.4951, (-0.5, 0.0, 0.5), "+0.495"),
        (0.494, (-0.5, 0.0, 0.5), "+0.49"),
        (-0.003, (0.0,), "-0.003"),
        (0.0, (0.0,), "0.00"),
        # What is left of a subtraction is nothing.
        (-1e-14, (0.0,), "0.00"),
    ],
)
def test_a_number_at_a_limit_has_the_digits_that_decide(value, limits, text):
    assert digits.decided(value, 2, *limits) == text


@given(st.floats(-3, 3), st.sampled_from([0.0, 0.05, 0.5, -0.5]))
def test_no_rounding_crosses_a_limit(value, limit):
    shown = float(digits.decided(value, 2, limit))
    assert shown == pytest.approx(value, abs=0.0051)
    if abs(value - limit) > 1e-5:
        assert (shown > limit) == (value > limit)
        assert (shown < limit) == (value < limit)


@pytest.mark.parametrize(
    ("metric", "places"), [("chrf++", 2), ("acc", 3), ("comet22", 4), ("mine.py:Mine", 3)]
)
def test_a_metric_is_shown_as_fine_as_its_minimum_effect(metric, places):
    assert digits.places(metric) == places
