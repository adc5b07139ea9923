"""Numbers with the digits that decide: none looks as if it were on the other side of its limit."""

import math

from bayling_eval.method import minimum_effect
from bayling_eval.statistics import ALPHA

# A number gets so many digits more at most: what then still is at a limit is off by rounding alone.
_MORE = 5


def places(metric: str) -> int:
    """Return with how many digits a metric is shown: those that its minimum effect needs."""
    effect = minimum_effect(metric)
    return 2 if effect >= 0.1 else 3 if effect >= 0.01 or effect == 0 else 4


def decided(value: float, places: int, *limits: float, plus: bool = True) -> str:
    """Return a number with as many digits as say on which side of each limit it is."""
    sign = "+" if plus else ""
    for more in range(places, places + _MORE):
        text = f"{value:{sign}.{more}f}"
        if all(_side(float(text), limit) == _side(value, limit) for limit in limits):
            return text if float(text) else f"{0:.{more}f}"
    return f"{value:{sign}.{places}f}" if round(value, places) else f"{0:.{places}f}"


def p_decided(p: float) -> str:
    """Return a corrected p-value with two digits, on its side of the level."""
    return decided(p, max(2, 1 - math.floor(math.log10(p))), ALPHA, plus=False)


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)
