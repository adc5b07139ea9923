"""What shows a failing row best: rates that moved with it, and the segment that lost most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayling_eval import store, tables
from bayling_eval.gate import words
from bayling_eval.gate.held import Held
from bayling_eval.gate.outcomes import GateRow, Sample
from bayling_eval.gate.words import finite
from bayling_eval.method import minimum_effect
from bayling_eval.sides import Side
from bayling_eval.statistics import Floats

SAMPLES = 15
"""Rows that get a sample: more than anybody reads of one failing gate."""


@dataclass(frozen=True)
class Shown:
    """Rows with their evidence."""

    rows: list[GateRow]
    notes: list[str]
    """Why rows have no sample."""


def show(rows: Sequence[GateRow], held: Held) -> Shown:
    """Say of failing rows which rates moved with them, and give the first of them a sample."""
    failing = [row for row in rows if _fails(row)]
    if not failing:
        return Shown(list(rows), [])
    moved: dict[str, dict[str, str]] = {}
    for ours, theirs in held.sides:
        for task, rates in _moved(ours, theirs).items():
            moved.setdefault(task, {}).update(rates)
    wanted = set(list(dict.fromkeys(map(_shows, failing)))[:SAMPLES])
    texts, found = _Texts(), []
    for row in rows:
        update: dict[str, Any] = {}
        if _fails(row):
            beside = [
                text for rate, text in moved.get(row.task or "", {}).items() if rate != row.metric
            ]
            update["sentence"] = "; ".join([row.sentence, *beside])
        if _fails(row) and _shows(row) in wanted:
            update["sample"] = _sample(row, held, texts)
        found.append(row.model_copy(update=update))
    notes = [
        f"{name} has no texts here, so there are no samples (an export has them with --with-text)"
        for name in sorted(texts.without)
    ]
    return Shown(found, notes)


def _fails(row: GateRow) -> bool:
    return row.outcome == "fail" and row.task is not None


def _shows(row: GateRow) -> tuple[object, ...]:
    """Return what rows have in common that the same sample shows."""
    return row.task, row.metric, row.rule == "floor"


def _moved(ours: Side, theirs: Side) -> dict[str, dict[str, str]]:
    """Return the rates of each task that rose by at least their minimum effect, in words.

    Only their scores are looked at: a hint where to look, and no test.
    """
    before = _rates(theirs)
    found: dict[str, dict[str, str]] = {}
    for (task, rate, signature), value in _rates(ours).items():
        rise = value - before.get((task, rate, signature), value)
        if rise >= minimum_effect(rate):
            found.setdefault(task, {})[rate] = f"{rate} {words.change(rate, rise)}"
    return found


def _rates(side: Side) -> dict[tuple[str, str, str], float]:
    return {
        (row.task, row.metric, str(row.signature)): row.value
        for row in (side.cell.scores() if side.cell else ())
        if row.metric and row.metric.endswith("_rate") and row.value is not None
    }


class _Texts:
    """Texts of systems, each file checked once."""

    def __init__(self) -> None:
        self._paths: dict[int, Any] = {}
        self.without: set[str] = set()
        """Systems without texts."""

    def read(self, side: Side, task: str, n: int) -> list[tables.Sample] | None:
        """Return the samples of a task; none where there are no texts of its ``n`` segments."""
        if side.cell is None or not (side.cell.folder / store.SAMPLES).is_file():
            self.without.add(side.system.name)
            return None
        if id(side) not in self._paths:
            self._paths[id(side)] = side.cell.verified(store.SAMPLES)
        found = tables.read_samples(self._paths[id(side)], task)
        return found if len(found) == n else None


def _sample(row: GateRow, held: Held, texts: _Texts) -> Sample | None:
    """Return the segment that loses most to the baseline; of a floor, the lowest."""
    if row.delta is None and row.rule != "floor":
        return None  # what was not compared has no segments in common
    key = (str(row.task), str(row.metric), str(row.signature))
    metric = next((one for one in held.metrics.values() if one.name == row.metric), None)
    both = next((pair for pair in held.sides if key in pair[0].stored), None)
    if metric is None or both is None:
        return None
    scores = [
        metric.aggregate(side.stored[key].values) if key in side.stored else None for side in both
    ]
    index = _lowest(scores, metric.higher_is_better is True, alone=row.rule == "floor")
    if index is None or scores[0] is None:
        return None
    mine = texts.read(both[0], key[0], len(scores[0]))
    other = texts.read(both[1], key[0], len(scores[0])) if scores[1] is not None else None
    if mine is None:
        return None
    return Sample(
        doc_id=mine[index].doc_id,
        source=mine[index].source,
        reference=next(iter(mine[index].references), ""),
        candidate=mine[index].output,
        baseline=other[index].output if other else None,
        candidate_score=_at(scores[0], index),
        baseline_score=_at(scores[1], index),
    )


def _lowest(scores: Sequence[Floats | None], up: bool, *, alone: bool) -> int | None:
    """Return the segment that stands worst; none where no segment has a number."""
    ours, theirs = scores
    if ours is None:
        return None
    stand = ours if alone or theirs is None else ours - theirs
    stand = np.where(np.isfinite(stand), stand if up else -stand, np.inf)
    index = int(np.argmin(stand))
    return index if np.isfinite(stand[index]) else None


def _at(scores: Floats | None, index: int) -> float | None:
    value = None if scores is None else float(scores[index])
    return value if finite(value) else None
