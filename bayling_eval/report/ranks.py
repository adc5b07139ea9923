"""Many systems at once: the mean rank of each, and how often it beats the deciding baseline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayling_eval import statistics
from bayling_eval.aggregate import Line
from bayling_eval.macro import MIN_GROUP
from bayling_eval.method import RESAMPLES
from bayling_eval.report import view

SYSTEMS = 7
"""So many systems have a table of ranks; fewer are read one by one."""
# 0.57 - 0.56 is 0.00999...
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Rank:
    """One system among all of a report."""

    system: str
    """What it is called."""
    mean: float
    """Mean rank over the directions, 1 is best; systems with equal scores share theirs."""
    low: float
    """Lower end of the 95 % interval: directions are resampled."""
    high: float
    """Upper end of it."""
    wins: int
    """Directions in which it beats the deciding baseline by more than the minimum effect."""
    ties: int
    """Directions in which neither is."""
    losses: int
    """Directions in which it is worse by more."""
    n: int
    """Directions that every system has a score of, computed alike."""


def ranks(lines: Sequence[Line], names: Sequence[str], effect: float) -> list[Rank]:
    """Return the ranks of the systems, the best first; none of few systems or directions.

    ``lines`` are of one metric, ``names`` those of the candidate and the baselines, the deciding
    one second, ``effect`` the metric's minimum effect. Scores are compared within a direction.
    """
    rows = [row for line in lines if (row := _scores(line)) is not None]
    if len(names) < SYSTEMS or len(rows) < MIN_GROUP:
        return []
    scores = np.array(rows, dtype=np.float64) * view.sign(lines[0].row.metric)
    better = (scores[:, None, :] > scores[:, :, None]).sum(axis=2)
    equal = (scores[:, None, :] == scores[:, :, None]).sum(axis=2)
    places = better + (equal + 1) / 2
    draws = np.random.default_rng(statistics.SEED).integers(len(rows), size=(RESAMPLES, len(rows)))
    samples = places[draws].mean(axis=1)
    gains = scores - scores[:, [1]]
    found = []
    for at, name in enumerate(names):
        low, high = statistics.interval(samples[:, at])
        wins, losses = (
            int((gains[:, at] > effect + 1e-9).sum()),
            int((gains[:, at] < -effect - 1e-9).sum()),
        )
        ties = len(rows) - wins - losses
        mean = float(places[:, at].mean())
        found.append(Rank(name, mean, low, high, wins, ties, losses, len(rows)))
    return sorted(found, key=lambda one: one.mean)


def _scores(line: Line) -> list[float] | None:
    """Return the score of each system, all under the signature that was compared; else none."""
    own = [side.get(line.row.metric) for side in line.scores]
    values = [
        one.value
        for one in own
        if one and one.value is not None and one.signature == line.row.signature
    ]
    return values if line.row.signature and len(values) == len(own) else None
