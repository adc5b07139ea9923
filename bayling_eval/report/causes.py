"""What probably made a direction lose: the health of both systems' outputs, side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bayling_eval.aggregate import Line
from bayling_eval.records import Score, Verdict
from bayling_eval.report import view

RISE = 0.02
"""Share of outputs by which a fault has to become more frequent: two points."""
LENGTH = 0.05
"""Share by which outputs have to become longer or shorter."""
ERRORS = 2
"""A change has to be more than so many standard errors of the two scores, taken as independent,
which is too wide for two systems on the same segments: a cause is rather not named than named by
chance."""
_LOOKED_AT = {
    "off_target_rate": "off target",
    "wrong_script_rate": "wrong script",
    "length_ratio": "length",
    "empty_rate": "empty",
    "truncated_rate": "truncated",
    "copy_rate": "copies of the source",
    "runaway_rate": "runaway",
    "preamble_rate": "preambles",
}


@dataclass(frozen=True)
class Cause:
    """What moved with a score, and what was looked at."""

    found: tuple[str, ...]
    """What changed for the worse, in words, the largest first."""
    checked: tuple[str, ...]
    """What both systems have numbers of."""
    unscored: tuple[str, ...]
    """What was not scored on a side, or not alike."""
    unknown: tuple[str, ...]
    """What cannot be known of a side: why imported outputs ended."""

    @property
    def text(self) -> str:
        """One line: the causes, or what was checked in vain."""
        if self.found:
            return "; ".join(self.found)
        checked = f"checked: {', '.join(self.checked)}; none changed" if self.checked else ""
        unscored = f"not scored: {', '.join(self.unscored)}" if self.unscored else ""
        unknown = f"not known: {', '.join(self.unknown)}" if self.unknown else ""
        return "; ".join(filter(None, (checked, unscored, unknown)))


@dataclass(frozen=True)
class Loss:
    """A confirmed loss or gain, as it is listed."""

    line: Line
    """The row, with the scores of each system."""
    cause: Cause | None
    """What probably made it; none where nothing can be looked at: tasks without texts."""


def losses(lines: Mapping[str, Sequence[Line]], verdict: Verdict) -> list[Loss]:
    """Return the rows of all tables with a verdict, table by table, the largest difference first.

    ``verdict`` is ``regressed`` or ``improved``; lines come worst first.
    """
    found: list[Loss] = []
    for metric, own in lines.items():
        rows = [line for line in own if line.row.verdict == verdict]
        looked = view.noun(metric) == "direction" and verdict == "regressed"
        ordered = rows if verdict == "regressed" else rows[::-1]
        found += [Loss(line, likely(line) if looked else None) for line in ordered]
    return found


def likely(line: Line) -> Cause:
    """Return what changed beside the score of a translation, against the deciding baseline."""
    ours, theirs = line.scores[:2]
    # A rate that fell is no cause of itself.
    names = {name: word for name, word in _LOOKED_AT.items() if name != line.row.metric}
    pairs = {name: _pair(ours, theirs, name) for name in names}
    moved = [
        (abs((pair[0].value or 0.0) - (pair[1].value or 0.0)), text)
        for name, pair in pairs.items()
        if pair and (text := (_length if name == "length_ratio" else _rise)(name, *pair))
    ]
    lacking = [name for name, pair in pairs.items() if not pair]
    unknown = [
        n for n in lacking if "not_covered" in {s[n].status for s in (ours, theirs) if n in s}
    ]
    return Cause(
        tuple(text for _, text in sorted(moved, key=lambda one: -one[0])),
        tuple(word for name, word in names.items() if pairs[name]),
        tuple(names[name] for name in lacking if name not in unknown),
        tuple(names[name] for name in unknown),
    )


def _pair(
    ours: Mapping[str | None, Score], theirs: Mapping[str | None, Score], name: str
) -> tuple[Score, Score] | None:
    """Return the scores of both sides, where they were computed alike."""
    mine, other = ours.get(name), theirs.get(name)
    if mine is None or other is None or mine.signature != other.signature:
        return None
    return None if mine.value is None or other.value is None else (mine, other)


def _rise(name: str, ours: Score, theirs: Score) -> str:
    change = (ours.value or 0.0) - (theirs.value or 0.0)
    if change < RISE or change <= _error(ours, theirs):
        return ""
    return f"{_LOOKED_AT[name]} {view.number(change, name, signed=True)}"


def _length(name: str, ours: Score, theirs: Score) -> str:
    """Say that outputs became longer or shorter, and further from the references' length."""
    mine, other = ours.value or 0.0, theirs.value or 0.0
    change = mine - other
    further = abs(math.log(mine or 1e-9)) > abs(math.log(other or 1e-9))
    if not further or abs(change) < LENGTH * other or abs(change) <= _error(ours, theirs):
        return ""
    word = "longer" if change > 0 else "shorter"
    return f"outputs {word}: length ratio {other:.2f} → {mine:.2f}"


def _error(ours: Score, theirs: Score) -> float:
    return ERRORS * math.hypot(ours.stderr or 0.0, theirs.stderr or 0.0)
