"""Scores and comparisons become tables: one line a direction, and tidy frames for CSV."""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bayling_eval.records import Comparison, Record, Score
from bayling_eval.spreadsheet import csv_text

_KEYS = ["task", "metric", "signature"]
_ABOUT = ["task", "family", "src_lang", "tgt_lang", "lang"]
_JUDGED = ["delta", "ci_low", "ci_high", "p_value", "p_adjusted", "n", "verdict", "reason"]


@dataclass(frozen=True)
class Line:
    """One line of the per-direction table: one task under one metric."""

    row: Comparison
    """Candidate against the deciding baseline."""
    others: tuple[Comparison | None, ...]
    """Candidate against each further baseline; none where that pair has no such row."""
    scores: tuple[Mapping[str | None, Score], ...]
    """By metric, of the candidate and of each baseline; by none where nothing was scored."""
    compared: Mapping[str, Comparison]
    """By other metric: the row against the deciding baseline."""


def lines(
    metric: str, found: Sequence[Sequence[Comparison]], scores: Sequence[Sequence[Score]]
) -> list[Line]:
    """Return the per-direction table under ``metric``, in the order of the deciding rows.

    ``found`` holds the rows against each baseline, the deciding one first; ``scores`` the rows of
    the candidate and of each baseline in the same order. Where a system has a task's score under
    several signatures, the one that was compared is taken.
    """
    compared = [_by_task(rows) for rows in found]
    scored = [_by_task(rows) for rows in scores]
    return [_line(row, compared, scored) for row in found[0] if row.metric == metric]


def differing(signatures: Iterable[str | None]) -> dict[str, str]:
    """Return of each signature the parts that not all of them share: ``tok:13a``."""
    parts = {text: text.split("|") for text in signatures if text}
    shared = functools.reduce(set.intersection, map(set, parts.values())) if parts else set()
    return {
        text: " ".join(part for part in found if part not in shared)
        for text, found in parts.items()
    }


def frame(records: Iterable[Record], kind: type[Record]) -> pd.DataFrame:
    """Return records as a tidy frame, one column a field, also where there are none.

    The columns hold objects: a whole number stays one beside a missing value.
    """
    rows = [record.model_dump() for record in records]
    return pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=object) for name in kind.model_fields}
    )


def directions(
    scores: Mapping[str, Sequence[Score]], found: Mapping[str, Sequence[Comparison]]
) -> pd.DataFrame:
    """Return one row a task, metric and signature: a column a system, then the comparisons.

    ``scores`` are the rows of each system by its name, ``found`` those against each baseline.
    """
    about = pd.concat(
        [
            *(frame(rows, Score)[_ABOUT] for rows in scores.values()),
            *(frame(rows, Comparison)[_ABOUT] for rows in found.values()),
        ]
    ).drop_duplicates("task")
    parts = []
    for label, own in scores.items():
        part = frame((row for row in own if row.metric), Score)[[*_KEYS, "value"]]
        parts.append(part.rename(columns={"value": label}).drop_duplicates(_KEYS))
    for label, rows in found.items():
        part = frame(rows, Comparison)[[*_KEYS, *_JUDGED]].drop_duplicates(_KEYS)
        parts.append(part.rename(columns={name: f"{name} against {label}" for name in _JUDGED}))
    table = functools.reduce(lambda a, b: a.merge(b, how="outer", on=_KEYS, sort=False), parts)
    return about.merge(table, how="right", on="task", sort=False)


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a frame as CSV without formulas for a spreadsheet; what is missing is empty."""
    rows = table.itertuples(index=False, name=None)
    return csv_text(list(table.columns), rows).encode("utf-8", "backslashreplace")


def finite(value: Any) -> Any:
    """Return a JSON value whose numbers that are not finite are null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _by_task(rows: Iterable[Any]) -> dict[str, dict[str | None, list[Any]]]:
    found: dict[str, dict[str | None, list[Any]]] = {}
    for row in rows:
        found.setdefault(row.task, {}).setdefault(row.metric, []).append(row)
    return found


def _line(
    row: Comparison,
    compared: Sequence[dict[str, dict[str | None, list[Any]]]],
    scored: Sequence[dict[str, dict[str | None, list[Any]]]],
) -> Line:
    deciding = {name: rows[0] for name, rows in compared[0][row.task].items() if name}
    others = (rows.get(row.task, {}).get(row.metric, []) for rows in compared[1:])
    return Line(
        row,
        tuple(next((r for r in rows if r.signature == row.signature), None) for rows in others),
        tuple(
            {
                name: _compared(rows, deciding.get(name or ""))
                for name, rows in by_metric.get(row.task, {}).items()
            }
            for by_metric in scored
        ),
        {name: other for name, other in deciding.items() if name != row.metric},
    )


def _compared(rows: Sequence[Score], row: Comparison | None) -> Score:
    """Return the score that a comparison is about; the first where nothing was compared."""
    return next((one for one in rows if row and one.signature == row.signature), rows[0])
