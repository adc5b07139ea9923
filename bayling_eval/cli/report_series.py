"""``bayling-eval report NAME --series S``."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bayling_eval import store
from bayling_eval.cli import common
from bayling_eval.cli.compare_options import Asked
from bayling_eval.macro import check_grouping
from bayling_eval.report import series, series_page

if TYPE_CHECKING:
    from bayling_eval.report.series import Found


def write(
    name: str,
    chosen: str,
    asked: Asked,
    folders: tuple[Path, Path],
    *,
    reference: str | None = None,
    quiet: bool = False,
) -> "tuple[Path, Found]":
    """Write the report ``name`` of the series ``chosen``; return its page and what was found.

    ``folders`` are results and reports, ``reference`` the system that differences are from, by
    default the first. ``judge`` is for afterwards, when the path is printed.

    Raises:
        UserError: the series cannot be drawn: see ``report.series.find`` and ``measure``.
    """
    results, reports = folders
    check_grouping(asked.by)
    systems = series.find(results, chosen)
    base = store.find(results, reference) if reference else None
    order = series.Order(
        chosen, systems, asked.method, base, asked.names, asked.references, asked.by
    )
    found = series.measure(order, common.progress(quiet, f"series {chosen}"))
    common.end_progress(quiet)
    words = ["bayling-eval", "report", name, "--series", chosen]
    words += ["--reference", reference] if reference else []
    own = replace(asked, method=asked.method.untested).words
    words += [*own, "--results", str(results), "--reports", str(reports)]
    return series_page.write(name, found, shlex.join(words), reports), found


def judge(found: "Found") -> None:
    """Raise what the exit code shall say, as other reports do; a gap at one step is none.

    Raises:
        IncompleteError: a checkpoint's own planned tasks have no valid score.
        IncomparableError: no checkpoint has anything to compare with the reference.
    """
    measured = [pair for pair in found.pairs if any(row.delta is not None for row in pair.rows)]
    empty = [pair for pair in found.pairs if pair not in measured and pair.incomplete]
    common.judge([*measured, *empty] or found.pairs)
