"""``compare --sacrebleu-compatible``: sacrebleu's own paired tests, from the statistics alone."""

from collections.abc import Iterator, Sequence

import click

from bayling_eval import significance
from bayling_eval.cli import common
from bayling_eval.cli.compare_options import Asked
from bayling_eval.errors import IncomparableError, UserError
from bayling_eval.metrics import Metric
from bayling_eval.sides import QUALITY, Side, metrics_of, pairs
from bayling_eval.significance import Draws, PairedRow, Test
from bayling_eval.store import System

_COLUMNS = ("task", "metric", "system", "role", "value", "mean", "ci", "p_value", "n", "signature")


def show(
    candidate: System, baselines: Sequence[System], asked: Asked, test: Test, form: str
) -> None:
    """Print a row a task, metric and system; the first baseline is sacrebleu's, the rest systems.

    Raises:
        UserError: an option that this table has no place for, or a metric that sacrebleu lacks.
        IncomparableError: no two systems have a score of the same documents and signature.
    """
    if asked.by or asked.weights or asked.method.min_effect or asked.method.strict:
        raise UserError(
            "--sacrebleu-compatible prints sacrebleu's table, which has no averages and no "
            "verdicts: leave out --by, --weights, --min-effect and --strict"
        )
    made = metrics_of(asked.names or [name for name in QUALITY if name in significance.METRICS])
    draws = Draws(test, _samples(asked, test), significance.seed_given())
    baseline, systems = baselines[0], [candidate, *baselines[1:]]
    found: dict[tuple[str, str, str, str], PairedRow] = {}
    for system in systems:
        for sides in pairs(system, baseline, made, asked.references):
            for row in _rows(sides, made, draws):
                found.setdefault((row.task, row.metric, row.signature, row.system), row)
    if not found:
        names = ", ".join(system.name for system in systems)
        raise IncomparableError(
            f"{names} and {baseline.name} have no score of the same documents and signature: "
            "`bayling-eval compare` without --sacrebleu-compatible says why"
        )
    order = [metric.name for metric in made.values()]
    rows = sorted(found.values(), key=lambda row: (order.index(row.metric), row.task))
    document = {
        "schema": "bayling_eval.paired/1",
        "rows": [row.model_dump() for row in rows],
    }
    common.emit(document, form, _COLUMNS)
    if form == "table":
        click.echo("\np_value is sacrebleu's: not corrected for many directions, segments apart")


def _samples(asked: Asked, test: Test) -> int:
    """Return what the user said, else sacrebleu's own numbers."""
    name = "resamples" if test == "bs" else "trials"
    said = name in asked.method.model_fields_set
    return int(getattr(asked.method, name)) if said else significance.SAMPLES[test]


def _rows(sides: tuple[Side, Side], made: dict[str, Metric], draws: Draws) -> Iterator[PairedRow]:
    ours, theirs = sides
    for (task, written), scores in sorted(ours.scores.items()):
        others = theirs.scores.get((task, written), {})
        shared = [s for s in scores if s in others]
        if not shared or written not in made:
            continue
        signature = shared[0]
        if scores[signature].documents_digest != others[signature].documents_digest:
            continue
        key = (task, made[written].name, signature)
        candidate, baseline = _named(ours.system, theirs.system)
        systems = {baseline: theirs.stored[key].values, candidate: ours.stored[key].values}
        yield from significance.rows(theirs.planned[task], made[written], signature, systems, draws)


def _named(ours: System, theirs: System) -> tuple[str, str]:
    """Return what tells two systems apart."""
    if ours.name != theirs.name:
        return ours.name, theirs.name
    if ours.label == theirs.label:
        raise UserError(f"{ours.label} is named twice: name two systems")
    return ours.label, theirs.label
