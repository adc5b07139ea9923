"""A series of checkpoints becomes a folder: curves over training, what fell since its best step."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayling_eval import aggregate, metrics, statistics, store
from bayling_eval.compare import Comparisons, compare
from bayling_eval.errors import UserError, unknown
from bayling_eval.macro import Difference, Grouping
from bayling_eval.method import Method
from bayling_eval.report import falls
from bayling_eval.report.document import json_bytes, made_with
from bayling_eval.report.falls import Curve, Key
from bayling_eval.store import System

SCHEMA = "bayling_eval.report_series/1"


@dataclass(frozen=True)
class Order:
    """What is asked of a series."""

    series: str
    """Name of the series."""
    systems: tuple[System, ...]
    """Its checkpoints in order of step, as ``find`` returns them."""
    method: Method
    """How they are compared."""
    reference: System | None = None
    """Checkpoint that differences are from; the first where none is named."""
    names: tuple[str, ...] = ()
    """Metrics as written; by default what was scored."""
    references: tuple[str, ...] = ()
    """References asked for."""
    by: tuple[str, ...] = ()
    """Groupings beside suite and side."""

    @property
    def base(self) -> System:
        """Return the checkpoint that differences are from."""
        return self.reference or self.systems[0]


@dataclass(frozen=True)
class Found:
    """What a series shows."""

    order: Order
    """What was asked."""
    groups: tuple[Curve, ...]
    """Curves of groups, by metric, grouping and name."""
    tasks: tuple[Curve, ...]
    """Curves of single tasks, by metric, the largest loss first."""
    pairs: tuple[Comparisons, ...]
    """Each other checkpoint against the reference, in order of step."""

    @property
    def metrics(self) -> list[str]:
        """Return the metrics that were compared, the headline first."""
        found = dict.fromkeys(curve.metric for curve in self.tasks)
        return sorted(found, key=lambda name: name != metrics.HEADLINE)

    @property
    def incomplete(self) -> list[str]:
        """Return what a checkpoint planned itself and has no score of."""
        return list(dict.fromkeys(itertools.chain(*(pair.incomplete for pair in self.pairs))))

    @property
    def settings_diff(self) -> dict[str, list[str]]:
        """Return by checkpoint in which settings it differs from the reference."""
        found = {
            pair.candidate.name: sorted({text for row in pair.rows for text in row.settings_diff})
            for pair in self.pairs
        }
        return {name: diff for name, diff in found.items() if diff}

    @property
    def x(self) -> str:
        """Return what curves run over: ``tokens`` where all steps say theirs, else ``steps``."""
        said = [system.model.tokens for system in self.order.systems]
        return "tokens" if all(count is not None for count in said) else "steps"


def find(results: Path, series: str) -> tuple[System, ...]:
    """Return the checkpoints of a series in order of step.

    Raises:
        UserError: no such series, fewer than two checkpoints, one without a step, or two of a step.
    """
    known = store.systems(results)
    own = [system for system in known if system.model.series == series]
    if not own:
        names = {system.model.series for system in known if system.model.series}
        hint = "A system's series is what `series` says in the [[models]] of its suite"
        raise unknown("series", series, names, hint)
    for system in own:
        if system.model.step is None:
            raise UserError(
                f"{system.label} is of series {series!r} and has no step: add `step` to its "
                "[[models]] and run the suite again"
            )
    own.sort(key=lambda system: system.model.step or 0)
    for first, second in itertools.pairwise(own):
        if first.model.step == second.model.step:
            raise UserError(
                f"series {series!r} has two systems at step {first.model.step:,}: {first.label} "
                f"and {second.label}: give one another series, or move its folder away"
            )
    if len(own) == 1:
        raise UserError(f"series {series!r} has one checkpoint, {own[0].label}: curves need two")
    return tuple(own)


def measure(order: Order, progress: Callable[[str], None] = lambda _: None) -> Found:
    """Compare every checkpoint with the reference, and the last with all others through it.

    Nothing is tested: a loss is judged by its interval.

    Raises:
        UserError: what ``compare`` raises, or a reference that is not of the series.
    """
    base, systems = order.base, order.systems
    labels = [system.label for system in systems]
    if base.label not in labels:
        known = ", ".join(labels)
        raise UserError(f"{base.label} is not of series {order.series!r}: write one of {known}")
    own = labels.index(base.label)
    others = [at for at in range(len(systems)) if at != own]
    method = order.method.untested
    asked = {"names": order.names, "references": order.references, "method": method}
    pairs = [
        compare(systems[at], base, progress=_led(progress, systems[at].name), **asked)  # type: ignore[arg-type]
        for at in others
    ]
    rows = _rows(own, others, pairs)
    grouping = tuple(dict.fromkeys([*Grouping().by, *order.by]))
    return Found(
        order,
        tuple(falls.groups(systems, rows, grouping, order.method)),
        tuple(falls.tasks(systems, rows, order.method)),
        tuple(pairs),
    )


def _led(progress: Callable[[str], None], name: str) -> Callable[[str], None]:
    return lambda text: progress(f"{name}: {text}")


def _rows(
    own: int, others: Sequence[int], pairs: Sequence[Comparisons]
) -> dict[Key, dict[int, Difference]]:
    """Return each step's difference from the reference by metric and task; its own is 0."""
    found: dict[Key, dict[int, Difference]] = {}
    for at, pair in zip(others, pairs, strict=True):
        for one in pair.differences:
            steps = found.setdefault((one.row.metric, one.row.task), {})
            # A task may be there whole and as a subset: the whole speaks.
            if at not in steps or (one.row.n or 0) > (steps[at].row.n or 0):
                steps[at] = one
    for steps in found.values():
        measured = (steps[at] for at in sorted(steps) if steps[at].samples is not None)
        steps[own] = _itself(next(measured, next(iter(steps.values()))))
    return found


def _itself(one: Difference) -> Difference:
    """Return the reference against itself, out of another step's difference from it."""
    row = one.row
    if one.samples is None:
        return Difference(row.model_copy(update={"candidate": row.baseline}))
    nothing = dict.fromkeys(("delta", "ci_low", "ci_high", "stderr"), 0.0)
    about = {"candidate": row.baseline, "candidate_value": row.baseline_value, **nothing}
    zeros = np.zeros_like(one.samples)
    return Difference(row.model_copy(update=about), zeros, one.higher_is_better)


_COLUMNS = (
    *("series", "step", "tokens", "system", "metric", "by", "group", "family", "src_lang"),
    *("tgt_lang", "lang", "signature", "n", "n_expected", "what", "value", "ci_low", "ci_high"),
    *("delta", "reason"),
)


def table(found: Found) -> bytes:
    """Return ``series.csv``: one line a step, metric and group or task."""
    return aggregate.csv_bytes(pd.DataFrame(list(_lines(found)), columns=list(_COLUMNS)))


def _lines(found: Found) -> Iterator[list[Any]]:
    for curve in (*found.groups, *found.tasks):
        what = "score" if curve.by == "task" else "mean difference"
        own = {**curve.model_dump(), "series": found.order.series, "what": what}
        for point in curve.points:
            line = {**own, **point.model_dump()}
            yield [line[key] for key in _COLUMNS]


def document(name: str, found: Found, told: dict[str, Any]) -> bytes:
    """Return ``report.json``: what the page says, as one JSON document."""
    document = {
        "schema": SCHEMA,
        "name": name,
        "series": found.order.series,
        "x": found.x,
        "reference": found.order.base.label,
        "steps": [
            {"system": one.label, "step": one.model.step, "tokens": one.model.tokens}
            for one in found.order.systems
        ],
        "groups": [curve.model_dump() for curve in found.groups],
        "tasks": [curve.model_dump() for curve in found.tasks],
        "settings_diff": found.settings_diff,
        "incomplete": found.incomplete,
        "provenance": told,
    }
    return json_bytes(document)


def provenance(found: Found, command: str) -> dict[str, Any]:
    """Return where the numbers come from, as a JSON value that the page prints too."""
    signatures: dict[tuple[str, str], int] = {}
    for curve in found.tasks:
        if curve.signature:
            key = (curve.metric, curve.signature)
            signatures[key] = signatures.get(key, 0) + 1
    fields = {"kind", "digest", "step", "tokens"}
    return {
        "command": command,
        "systems": [
            {"name": one.name, "label": one.label, **one.model.model_dump(include=fields)}
            for one in found.order.systems
        ],
        "metrics": [
            {"metric": metric, "signature": text, "tasks": count}
            for (metric, text), count in signatures.items()
        ],
        "statistics": {
            "resamples": found.order.method.resamples,
            "seed": statistics.SEED,
            "alpha": statistics.ALPHA,
            "minimum_effect": {m: found.order.method.minimum_effect(m) for m in found.metrics},
        },
        "versions": made_with(),
    }
