"""What two systems have to be compared: rows and statistics, family by family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bayling_eval import metrics, references, store, tables
from bayling_eval.errors import UserError
from bayling_eval.metrics import HEADLINE, Metric
from bayling_eval.records import PlannedTask, Score, Settings
from bayling_eval.rows import status_rows
from bayling_eval.store import Cell, System
from bayling_eval.subsets import Subset
from bayling_eval.tables import Stored

QUALITY = (
    *("chrf++", "chrf", "bleu", "spbleu-flores200", "spbleu-flores101", "ter"),
    *("acc", "acc_norm", "acc_bytes", "exact_match", "acc_chance_corrected", "bits_per_byte"),
)
"""Metrics compared unless others are named, the headline first."""

Rows = Mapping[str, Score]
"""Rows of one task under one metric by signature, in the order in which they were scored."""


@dataclass(frozen=True)
class Side:
    """One system's rows and statistics of one family."""

    system: System
    cell: Cell | None
    """None where the system has nothing of the family."""
    planned: Mapping[str, PlannedTask]
    scores: Mapping[tuple[str, str], Rows]
    """By task and metric as written; only rows whose value stands."""
    signatures: Mapping[tuple[str, str], list[str]]
    """All signatures of a task under a metric, those not asked for too."""
    reasons: Mapping[str, str]
    """Why a planned task has no value."""
    partial: Mapping[str, str]
    """Why the value of a task does not speak for all of it, so that it is not compared."""
    stored: Mapping[tuple[str, str, str], Stored]
    """Statistics by task, metric and signature."""


def metrics_of(names: Sequence[str]) -> dict[str, Metric]:
    """Set up the metrics to compare, by what was written.

    Raises:
        UserError: an unknown metric, one without a better direction, or one written in two ways.
    """
    made = metrics.parse(names)
    for written, metric in made.items():
        if metric.higher_is_better is None:
            raise UserError(
                f"metric {written!r} has no better direction, so nothing can be compared: "
                f"choose among {', '.join(QUALITY)}"
            )
        same = [other for other, known in made.items() if known.name == metric.name]
        if len(same) > 1:
            raise UserError(f"{' and '.join(same)} are one metric in two ways: compare one a run")
    return made


def pairs(
    candidate: System, baseline: System, made: Mapping[str, Metric], chosen: Sequence[str]
) -> list[tuple[Side, Side]]:
    """Return both sides of each family and selection that at least one system has.

    ``made`` are the metrics by what was written, ``chosen`` the references asked for.
    """
    systems = (candidate, baseline)
    cells = sorted({(c.family, c.selection) for system in systems for c in system.cells()})
    # A look into a family (--limit) says nothing beside what was asked in whole.
    looks = {cell for cell in cells if Subset.parse(cell[1]).partial}
    whole = {family for family, selection in set(cells) - looks}
    return [
        (_side(candidate, cell, made, chosen), _side(baseline, cell, made, chosen))
        for cell in cells
        if cell not in looks or cell[0] not in whole
    ]


def settings_diff(candidate: Settings, baseline: Settings) -> list[str]:
    """Return the settings that differ or are unknown on a side, in words."""
    unknown = Settings()
    sides = {"candidate": candidate, "baseline": baseline}
    found = [
        f"settings of the {side} unknown" for side, settings in sides.items() if settings == unknown
    ]
    if found:
        return found
    ours, theirs = candidate.model_dump(), baseline.model_dump()
    return [
        f"{field}: {_shown(ours, field)} / {_shown(theirs, field)}"
        for field in ours
        if ours[field] != theirs[field]
    ]


def _shown(settings: Mapping[str, Any], field: str) -> str:
    """Return a setting in words; of a run, which names its engine, nothing is unknown."""
    if settings[field] is None:
        return "none" if settings["backend"] else "unknown"
    return str(settings[field])


def _side(
    system: System, named: tuple[str, str], made: Mapping[str, Metric], chosen: Sequence[str]
) -> Side:
    cells = [c for c in system.cells() if (c.family, c.selection) == named]
    if len(cells) > 1:
        labels = ", ".join(f"{system.name}@{system.model.model8}/{c.settings8}" for c in cells)
        raise UserError(
            f"{system.name} has {len(cells)} settings for {named[0]}: write one of {labels}"
        )
    if not cells:
        return Side(system, None, {}, {}, {}, {}, {}, {})
    cell = cells[0]
    planned = cell.plan().tasks
    scores: dict[tuple[str, str], dict[str, Score]] = {}
    signatures: dict[tuple[str, str], list[str]] = {}
    reasons: dict[str, str] = {}
    partial: dict[str, str] = {}
    for row in status_rows(cell):
        if row.status == "stale" or row.metric is None:
            reasons[row.task] = row.reason or row.status
        if row.status == "partial":
            partial[row.task] = row.reason or row.status
        if row.status == "ok":
            signatures.setdefault((row.task, str(row.metric)), []).append(str(row.signature))
        for written, metric in made.items() if row.status == "ok" else ():
            if metric.name == row.metric and _meant(row, planned[row.task], metric, chosen):
                scores.setdefault((row.task, written), {})[str(row.signature)] = row
    # The headline's segments say which of them collapsed, whatever metric is compared.
    names = sorted({HEADLINE, *(metric.name for metric in made.values())})
    stored = tables.read_statistics(cell.verified(store.STATISTICS), names) if scores else []
    by_row = {(s.task, s.metric, s.signature): s for s in stored}
    return Side(system, cell, planned, scores, signatures, reasons, partial, by_row)


def _meant(row: Score, planned: PlannedTask, metric: Metric, chosen: Sequence[str]) -> bool:
    """Return whether a row is of the metric as written, and of the references asked for."""
    if not metrics.fits(metric, row.tgt_lang, row.signature):
        return False
    named = str(row.signature).partition("|refs:")[2]
    wanted = references.asked(planned, chosen) if named else None
    return wanted is None or wanted == tuple(named.split(","))
