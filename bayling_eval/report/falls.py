"""How one group, or one task, moves over a series of checkpoints, and what it lost since its best.

The best step is chosen by the very scores that it is held against, which finds a loss where there
is none. So the last step is held against every other one, with intervals that hold for all of them
together: whichever is chosen is among them.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from bayling_eval import statistics
from bayling_eval.macro import (
    GROUPINGS,
    MIN_GROUP,
    NEVER_AVERAGED,
    Difference,
    Grouping,
    averages,
)
from bayling_eval.method import Method
from bayling_eval.records import Comparison, MacroRow, Record, Score
from bayling_eval.rows import status_rows
from bayling_eval.statistics import Floats
from bayling_eval.store import System

Fall = Literal["falling", "below_minimum_effect", "not_shown", "best", "missing"]
WORDS: Mapping[Fall, str] = {
    "falling": "falling",
    "below_minimum_effect": "real but small",
    "not_shown": "no loss shown",
    "best": "at its best",
    "missing": "missing",
}


FULL = 0.9
"""Share of a group's tasks under which a step is a gap, rather than fewer tasks for all steps."""


class Point(Record):
    """One step of a curve."""

    step: int
    """Training step."""
    tokens: int | None = None
    """Training tokens seen."""
    system: str
    """Label of the checkpoint."""
    value: float | None = None
    """Mean difference from the reference; of one task its score."""
    ci_low: float | None = None
    """Lower end of its 95 % interval."""
    ci_high: float | None = None
    """Upper end of it."""
    delta: float | None = None
    """Difference from the reference; of a group it is the value."""
    reason: str | None = None
    """Why there is no value."""


class Curve(Record):
    """A group, or one task, under one metric over the steps of a series."""

    metric: str
    """Name of the metric."""
    by: str
    """What it was grouped by; ``task`` for one task alone."""
    group: str
    """``flores200 eng_Latn-x``, or the name of the task."""
    family: str
    """Benchmark family."""
    src_lang: str | None = None
    """Source language of a translation task."""
    tgt_lang: str | None = None
    """Target language of a translation task."""
    lang: str | None = None
    """Language of any other task."""
    signature: str | None = None
    """What exactly was computed; null for a group."""
    clustered: bool | None = None
    """Whether documents were resampled as wholes; null where there is no interval."""
    n: int
    """Tasks that all steps with a value share."""
    n_expected: int
    """Tasks of the group that any step planned."""
    members: tuple[str, ...] = ()
    """The tasks, where they are too few for a mean."""
    points: list[Point]
    """One a step, in order."""
    best_step: int | None = None
    """Step with the best value; of several the last."""
    loss: float | None = None
    """Last step minus best step, 0 where it is the best; null where either is missing."""
    loss_ci_low: float | None = None
    """Lower end of an interval that holds for all ``comparisons`` together (Bonferroni, 95 %)."""
    loss_ci_high: float | None = None
    """Upper end of it."""
    comparisons: int = 0
    """Comparisons that the interval is corrected for."""
    verdict: Fall
    """What the numbers allow to be said."""
    reason: str | None = None
    """Why a number is missing."""

    @property
    def task(self) -> str:
        """The name of the task, of a curve of one."""
        return self.group


Of = Mapping[int, Difference]
"""Differences of one task under one metric from the reference, by index of the step."""
Key = tuple[str, str]
"""Metric and task."""


def _alike(steps: Of) -> dict[int, Difference]:
    """Keep the steps with a difference that was computed and drawn as that of the first of them.

    Only then are the resamples of two steps those of the same segments or documents.
    """
    kept: dict[int, Difference] = {}
    for at in sorted(steps):
        first = next(iter(kept.values()), steps[at])
        if steps[at].samples is not None and _drawn(steps[at].row) == _drawn(first.row):
            kept[at] = steps[at]
    return kept


def _drawn(row: Comparison) -> tuple[object, ...]:
    return row.signature, row.n, row.clusters


def groups(
    systems: Sequence[System], rows: Mapping[Key, Of], grouping: Sequence[str], method: Method
) -> Iterator[Curve]:
    """Return the curve of each group, by metric, grouping and name; BLEU and TER have none."""
    members: dict[tuple[str, str, str], list[Of]] = {}
    for by, ((metric, _), steps) in itertools.product(grouping, rows.items()):
        name = GROUPINGS[by](next(iter(steps.values())).row)
        if name and metric not in NEVER_AVERAGED:
            members.setdefault((by, name, metric), []).append(steps)
    order = list(dict.fromkeys(metric for metric, _ in rows))
    for by, name, metric in sorted(
        members, key=lambda k: (order.index(k[2]), grouping.index(k[0]), k[1])
    ):
        yield _group(systems, members[by, name, metric], by, name, method)


def _group(
    systems: Sequence[System], members: Sequence[Of], by: str, name: str, method: Method
) -> Curve:
    """Return the curve of a group: means over the tasks that all its steps share.

    A step with much less than the fullest is a gap: else it would take the tasks that it lacks
    from all others, and a mean over both sides would be one over the side that it has.
    """
    alike = [_alike(steps) for steps in members]
    row = next(iter(members[0].values())).row
    has = [sum(at in steps for steps in alike) for at in range(len(systems))]
    kept = [at for at, count in enumerate(has) if count >= FULL * max(has) > 0]
    shared = [steps for steps in alike if kept and all(at in steps for at in kept)]
    reasons = {
        at: f"{count} of {len(members)} tasks" for at, count in enumerate(has) if at not in kept
    }
    drawn = len(shared) >= MIN_GROUP
    means = {at: _mean([steps[at] for steps in shared], by) for at in kept if drawn}
    curve = Curve(
        metric=row.metric,
        by=by,
        group=name,
        family=row.family,
        n=len(shared),
        n_expected=len(members),
        members=() if drawn else tuple(next(iter(s.values())).row.task for s in shared),
        points=[_point(one, means.get(at), reasons.get(at)) for at, one in enumerate(systems)],
        clustered=next((mean.clustered for mean in means.values()), None),
        verdict="missing",
        reason=None if drawn else f"fewer than {MIN_GROUP} tasks that the steps share: no mean",
    )
    if not drawn:
        return curve
    values = {at: float(str(mean.delta)) for at, mean in means.items()}
    fall = _fall(systems, shared, values, len(kept) - 1, method)
    return curve.model_copy(update=fall)


def _mean(members: Sequence[Difference], by: str) -> MacroRow:
    (found,) = averages(members, Grouping((by,)))
    return found


def _point(system: System, mean: MacroRow | None, reason: str | None) -> Point:
    model = system.model
    return Point(
        step=model.step or 0,
        tokens=model.tokens,
        system=system.label,
        value=mean.delta if mean else None,
        ci_low=mean.ci_low if mean else None,
        ci_high=mean.ci_high if mean else None,
        delta=mean.delta if mean else None,
        reason=None if mean else reason,
    )


def _fall(
    systems: Sequence[System],
    members: Sequence[Of],
    deltas: Mapping[int, float],
    comparisons: int,
    method: Method,
) -> dict[str, object]:
    """Hold the last step against the best one, corrected for all that it could be held against.

    ``members`` have every step of ``deltas``, the mean differences from the reference by index. The
    samples of a loss are last minus best: both are of the same resamples.
    """
    first = next(iter(members[0].values()))
    sign = 1 if first.higher_is_better else -1
    last = len(systems) - 1
    best = max(deltas, key=lambda at: (sign * deltas[at], at))
    found: dict[str, object] = {"best_step": systems[best].model.step, "comparisons": comparisons}
    if last not in deltas:
        return found | {"verdict": "missing", "reason": "the last step has no value"}
    if best == last:
        return found | {"verdict": "best", "loss": 0.0}
    loss = deltas[last] - deltas[best]
    samples = np.mean([_samples(one[last]) - _samples(one[best]) for one in members], axis=0)
    low, high = statistics.simultaneous(loss, float(samples.std(ddof=1)), comparisons)
    found |= {"loss": loss, "loss_ci_low": low, "loss_ci_high": high}
    units = min((one[last].row.clusters or one[last].row.n or 0) for one in members)
    if not statistics.resolvable(units, comparisons):
        why = f"too few documents or segments ({units}) to tell a loss from chance"
        return found | {"verdict": "not_shown", "reason": why}
    if low <= 0 <= high:
        return found | {"verdict": "not_shown"}
    small = abs(loss) < method.minimum_effect(first.row.metric) - 1e-9
    return found | {"verdict": "below_minimum_effect" if small else "falling"}


def _samples(one: Difference) -> Floats:
    if one.samples is None:
        raise ValueError(f"{one.row.task}: no resamples")
    return one.samples


def tasks(systems: Sequence[System], rows: Mapping[Key, Of], method: Method) -> list[Curve]:
    """Return the curve of each task: its scores, and the loss since its best step."""
    alike = {key: _alike(steps) for key, steps in rows.items()}
    tests: dict[str, int] = {}
    for (metric, _), steps in alike.items():
        tests[metric] = tests.get(metric, 0) + max(len(steps) - 1, 0)
    scores = [_scores(system) for system in systems]
    order = list(tests)
    made = [_task(systems, rows[key], alike[key], scores, tests[key[0]], method) for key in rows]
    made.sort(key=lambda curve: (order.index(curve.metric), *_worst(curve)))
    return made


def _worst(curve: Curve) -> tuple[bool, float, str]:
    # A loss is below 0 where higher is better, above it elsewhere: never a gain.
    return (curve.loss is None, -abs(curve.loss or 0), curve.group)


def _scores(system: System) -> dict[tuple[str, str | None, str | None], Score]:
    found: dict[tuple[str, str | None, str | None], Score] = {}
    for cell in system.cells():
        for row in status_rows(cell):
            found.setdefault((row.task, row.metric, row.signature), row)
    return found


def _task(
    systems: Sequence[System],
    steps: Of,
    alike: Of,
    scores: Sequence[Mapping[tuple[str, str | None, str | None], Score]],
    tests: int,
    method: Method,
) -> Curve:
    row = next(iter(alike.values()), next(iter(steps.values()))).row
    points = []
    for at, system in enumerate(systems):
        one = alike.get(at)
        score = scores[at].get((row.task, row.metric, row.signature)) if one else None
        points.append(
            Point(
                step=system.model.step or 0,
                tokens=system.model.tokens,
                system=system.label,
                value=one.row.candidate_value if one else None,
                ci_low=score.ci_low if score else None,
                ci_high=score.ci_high if score else None,
                delta=one.row.delta if one else None,
                reason=None if one else _absence(steps.get(at)),
            )
        )
    about = row.model_dump(
        include={"metric", "family", "src_lang", "tgt_lang", "lang", "signature"}
    )
    curve = Curve(
        **about,
        by="task",
        group=row.task,
        clustered=row.clusters is not None if alike else None,
        n=1 if alike else 0,
        n_expected=1,
        points=points,
        verdict="missing",
        reason=None if len(alike) > 1 else "fewer than two steps can be compared",
    )
    if len(alike) < 2:
        return curve
    deltas = {at: float(one.row.delta or 0) for at, one in alike.items()}
    return curve.model_copy(update=_fall(systems, [alike], deltas, tests, method))


def _absence(one: Difference | None) -> str:
    if one is None:
        return "not planned"
    if one.row.delta is not None:
        return "computed or drawn otherwise than at the first step"
    return one.row.reason or one.row.verdict
