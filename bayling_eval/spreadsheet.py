"""CSV that a spreadsheet shows and never runs."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

# A spreadsheet takes a cell that starts so for a formula (CWE-1236).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as CSV: texts in quotes and harmless, numbers bare, missing cells empty."""
    buffer = io.StringIO()
    # Every text in quotes: the csv module leaves a lone carriage return bare.
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows(map(_safe, row) for row in rows)
    return buffer.getvalue()


def _safe(value: Any) -> Any:
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    if isinstance(value, float) and math.isnan(value):
        return None
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
