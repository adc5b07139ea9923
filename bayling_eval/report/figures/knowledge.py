"""Questions: the difference of each benchmark in each language, as a table of tinted cells."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from bayling_eval.compare import MARKS, Comparisons
from bayling_eval.records import Comparison
from bayling_eval.report import view
from bayling_eval.report.figures import placing
from bayling_eval.report.figures.drawn import (
    Drawn,
    counted,
    factor,
    labels,
    listed,
    named,
    plural,
    safe,
    short,
    signed,
    unit,
)
from bayling_eval.report.figures.svg import COLOURS, FONT_SIZE, Figure, canvas, finish, mark, panel

_CORRECTED = "acc_chance_corrected"
_WIDTH, _LABEL, _CELL, _ROW, _HEAD = 1120, 232, 86, 24, 60
_COLUMNS = (_WIDTH - _LABEL - 16) // _CELL
# Fewer languages than this stand side by side.
_ACROSS = 9


@dataclass(frozen=True)
class _Grid:
    """Rows and columns of a heat map, and what is in its cells."""

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[tuple[str, str], Comparison]


def draw(drawn: Drawn) -> list[Figure]:
    """Return a heat map of each pair; those of further baselines are folded."""
    metric = _metric(drawn)
    made = []
    for at, pair in enumerate(drawn.pairs if metric else ()):
        rows = [row for row in pair.rows if row.metric == metric and row.tgt_lang is None]
        if any(row.delta is not None for row in rows):
            made += _figures(drawn, pair, at, rows)
    return made


def _metric(drawn: Drawn) -> str | None:
    """Return the metric of questions: chance-corrected where it was compared."""
    names = [name for name in drawn.lines if view.noun(name) == "task"]
    compared = {row.metric for row in drawn.pairs[0].rows if row.delta is not None}
    return _CORRECTED if names and _CORRECTED in compared else next(iter(names), None)


def _figures(drawn: Drawn, pair: Comparisons, at: int, rows: Sequence[Comparison]) -> list[Figure]:
    """Return the heat map of one pair, cut into several where it has many columns."""
    grid = _grid(rows)
    against = short(drawn.names[at + 1])
    parts = [grid.columns[i : i + _COLUMNS] for i in range(0, len(grid.columns), _COLUMNS)]
    made = []
    for number, columns in enumerate(parts, 1):
        of = f", {number} of {len(parts)}" if len(parts) > 1 else ""
        stem = safe("knowledge", str(at + 1), *([str(number)] if of else []))
        part = _Grid(grid.rows, columns, grid.cells)
        title = f"Questions, against {against}{of}"
        made.append(_figure(drawn, part, stem, title, fold=at > 0))
    return made


def _grid(rows: Sequence[Comparison]) -> _Grid:
    """Lay benchmarks against languages; what there is more of goes down."""
    names = labels(dict.fromkeys(row.lang for row in rows))
    pairs = [(row.family, row.lang) for row in rows]
    # A benchmark with several tasks a language has a line a task.
    benchmark = {
        row.task: row.family if pairs.count((row.family, row.lang)) == 1 else row.task
        for row in rows
    }
    across = sorted({benchmark[row.task] for row in rows})
    down = sorted({names[row.lang] for row in rows})
    cells = {(names[row.lang], benchmark[row.task]): row for row in rows}
    if len(down) < _ACROSS and len(across) >= len(down):
        return _Grid(across, down, {(b, a): row for (a, b), row in cells.items()})
    return _Grid(down, across, cells)


def _figure(drawn: Drawn, grid: _Grid, stem: str, title: str, *, fold: bool) -> Figure:
    own = [r for key, r in grid.cells.items() if key[1] in grid.columns]
    there = [row for row in own if row.delta is not None]
    width = max(_LABEL + _CELL * len(grid.columns) + 16, 420)
    with canvas(width, _HEAD + _ROW * len(grid.rows) + 8) as drawing:
        box = (_LABEL, _HEAD, _CELL * len(grid.columns), _ROW * len(grid.rows))
        axes = panel(drawing, box, "panel-0")
        axes.set_xlim(0, len(grid.columns))
        axes.set_ylim(len(grid.rows), 0)
        axes.set_axis_off()
        for y, name in enumerate(grid.rows):
            axes.text(
                -0.1,
                y + 0.5,
                placing.fit(short(name), FONT_SIZE, _LABEL - 10),
                ha="right",
                va="center_baseline",
            )
        for x, name in enumerate(grid.columns):
            for line, text in enumerate(_lines(name)):
                axes.annotate(text, (x + 0.5, 0), xytext=(0, 8 + 13 * line), ha="center",
                              textcoords="offset points", fontsize=10,
                              annotation_clip=False)  # fmt: skip
        for (down, across), row in grid.cells.items():
            if across in grid.columns:
                at = (grid.columns.index(across), grid.rows.index(down))
                _cell(axes, row, at, drawn.row_ids.get(row.task))
        return finish(drawing, stem, title, _alt(there, title), note=_note(own), fold=fold)


def _lines(name: str) -> list[str]:
    """Return the heading of a column in at most three lines, the last one first."""
    return textwrap.wrap(short(name, 36), 14)[::-1][-3:]


def _cell(axes: Axes, row: Comparison, at: tuple[int, int], target: str | None) -> None:
    """Draw one cell; only a confirmed difference is tinted."""
    x, y = at
    role = view.tint(row)
    tile = Rectangle((x + 0.02, y + 0.05), 0.96, 0.9, linewidth=0, clip_on=False)
    tile.set(facecolor=COLOURS[role or "bg"], gid=mark(f"cell:{role or 'plain'}"))
    axes.add_patch(tile)
    if row.delta is None or not math.isfinite(row.delta):
        words, colour = view.WORDS[row.verdict], "mut"
    else:
        words, colour = f"{MARKS[row.verdict]} {_points(row)}", "fg"
    axes.text(x + 0.5, y + 0.5, words, ha="center", va="center_baseline", color=COLOURS[colour],
              fontsize=10 if colour == "fg" else 9, weight="bold" if role else "normal",
              url=f"#{target}" if target else None)  # fmt: skip


def _points(row: Comparison) -> str:
    by = 100 if row.metric == _CORRECTED else factor(row.metric)
    return signed(by * (row.delta or 0.0), 1 if by > 1 else 3)


def _alt(there: Sequence[Comparison], title: str) -> str:
    if not there:
        return f"Heat map, {title}: nothing is comparable."
    better = view.sign(there[0].metric)
    ordered = sorted(there, key=lambda row: better * (row.delta or 0.0))
    low, high = (f"{named(row)} ({_points(row)})" for row in (ordered[0], ordered[-1]))
    return (
        f"Heat map, {title}: differences of {plural(len(there), 'set')} of questions: "
        f"{counted(there)}. Worst is {low}, best is {high}."
    )


def _note(own: Sequence[Comparison]) -> str:
    metric = own[0].metric
    name = "accuracy above chance (guessing is 0), percent points"
    said = f"Differences in {name if metric == _CORRECTED else unit(metric)}. "
    said += "Only what is confirmed is tinted; a gap is a set that does not exist."
    lost = [named(row) for row in own if row.delta is None]
    return f"{said} Without a difference: {listed(lost)}." if lost else said
