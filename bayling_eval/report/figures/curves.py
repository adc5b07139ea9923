"""Curves over steps or releases: means of differences, scores of languages, and sparklines.

A step without a value is a gap with a cross under it: nothing is drawn through it.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from bayling_eval.report.figures import marks
from bayling_eval.report.figures.drawn import factor, short
from bayling_eval.report.figures.svg import COLOURS, Figure, canvas, finish, mark, panel

_WIDE = (760.0, 250.0)
_SMALL = (250.0, 150.0)
_COLUMNS = 3
_SPARK = (90.0, 22.0)


@dataclass(frozen=True)
class Course:
    """Values along one axis, as they are drawn."""

    title: str
    """What it is of."""
    x: tuple[float, ...]
    """Places in order: steps, tokens, or numbers of releases."""
    y: tuple[float | None, ...]
    """A value, or none where it is missing."""
    low: tuple[float | None, ...]
    """Lower ends of intervals."""
    high: tuple[float | None, ...]
    """Upper ends."""
    tips: tuple[str, ...]
    """What each place says under the pointer."""
    best: int | None = None
    """Index that is ringed."""
    down: bool = False
    """Whether the last value is a confirmed loss, and looks it."""

    @property
    def drawn(self) -> list[int]:
        """Return the places with a value."""
        return [at for at, value in enumerate(self.y) if value is not None]


@dataclass(frozen=True)
class Axis:
    """What the places are."""

    label: str
    """``training steps``."""
    ticks: tuple[tuple[float, str], ...]
    """Places and their names, in order; those that do not fit are left out."""


@dataclass(frozen=True)
class Spark:
    """A curve without axes, in a box of 90 by 22."""

    lines: tuple[str, ...]
    """``points`` of each stretch without a gap."""
    dots: tuple[tuple[float, float], ...]
    """Values that stand alone between gaps."""
    best: tuple[float, float] | None
    """Where the best value is."""
    last: tuple[float, float] | None
    """Where the last value is; none where the last step has none."""


def course(name: str, one: Course, metric: str, axis: Axis, **told: object) -> Figure:
    """Draw differences, worse below; ``told`` is what ``finish`` takes: alt, note, rows."""
    with canvas(*_WIDE) as drawing:
        axes = panel(drawing, (64, 12, _WIDE[0] - 84, _WIDE[1] - 62), "curve")
        _differences(axes, [one], metric)
        tips = _draw(axes, one, metric, "")
        _places(axes, one.x, axis, 9)
        axes.set_xlabel(axis.label)
        return finish(drawing, name, one.title, tips=tips, **told)  # type: ignore[arg-type]


def multiples(
    name: str,
    title: str,
    many: Sequence[Course],
    metric: str,
    axis: Axis,
    *,
    levels: bool,
    **told: object,
) -> Figure:
    """Draw small panels side by side: ``levels`` each on a scale of its own, else one for all."""
    columns = min(_COLUMNS, len(many))
    rows = math.ceil(len(many) / columns)
    wide, high = _SMALL
    tips: dict[str, list[str]] = {}
    with canvas(columns * wide + 10, rows * high + 24) as drawing:
        for at, one in enumerate(many):
            row, column = divmod(at, columns)
            box = (column * wide + 44, row * high + 24, wide - 64, high - 56)
            axes = panel(drawing, box, f"panel{at}")
            _levels(axes, one, metric) if levels else _differences(axes, many, metric)
            tips |= _draw(axes, one, metric, f"{at}:")
            _places(axes, one.x, axis, 3 if max(len(text) for _, text in axis.ticks) > 4 else 5)
            axes.set_title(short(one.title, 36), loc="left", fontsize=10.5, pad=8)
        _below(drawing, axis.label)
        return finish(drawing, name, title, tips=tips, **told)  # type: ignore[arg-type]


def spark(one: Course) -> Spark:
    """Return a course as a sparkline; its scale is its own lowest and highest value."""
    values = [value for value in one.y if value is not None]
    if not values:
        return Spark((), (), None, None)
    (width, height), room = _SPARK, 3.0
    low, span = min(values), max(values) - min(values)
    start, reach = one.x[0], one.x[-1] - one.x[0]

    def place(at: int) -> tuple[float, float]:
        up = ((one.y[at] or 0.0) - low) / span if span else 0.5
        along = (one.x[at] - start) / reach if reach else 0.5
        return (
            round(room + along * (width - 2 * room), 1),
            round(height - room - up * (height - 2 * room), 1),
        )

    runs = [list(map(place, run)) for run in _runs(one)]
    return Spark(
        tuple(" ".join(f"{x:g},{y:g}" for x, y in run) for run in runs if len(run) > 1),
        tuple(run[0] for run in runs if len(run) == 1),
        None if one.best is None else place(one.best),
        None if one.y[-1] is None else place(len(one.y) - 1),
    )


def _runs(one: Course) -> list[list[int]]:
    """Return the places with a value, stretch by stretch between the gaps."""
    grouped = itertools.groupby(range(len(one.y)), lambda at: one.y[at] is not None)
    return [list(run) for there, run in grouped if there]


def _draw(axes: Axes, one: Course, metric: str, prefix: str) -> dict[str, list[str]]:
    """Draw one course; return what its marks say, by their groups."""
    k, last = factor(metric), len(one.y) - 1
    heights = [math.nan if value is None else k * value for value in one.y]
    for run in (run for run in _runs(one) if len(run) > 1):
        x, y = [one.x[at] for at in run], [heights[at] for at in run]
        axes.plot(x, y, color=COLOURS["mut"], linewidth=1.4, gid=mark(f"{prefix}line"), zorder=3)
    _reaches(axes, one, k, f"{prefix}reach")
    gone = [at for at, value in enumerate(one.y) if value is None]
    fallen = [at for at in one.drawn if one.down and at == last]
    groups = {
        "points": ([at for at in one.drawn if at not in fallen], "o", "fg", 5.5),
        "fallen": (fallen, "v", "down", 8.5),
        "missing": (gone, "x", "mut", 6.0),
    }
    tips: dict[str, list[str]] = {}
    for group, (places, shape, role, size) in groups.items():
        if places:
            (drawn,) = axes.plot([one.x[at] for at in places], [heights[at] for at in places])
            drawn.set(linestyle="none", marker=shape, markersize=size, color=COLOURS[role])
            drawn.set(clip_on=False, zorder=4, gid=mark(f"{prefix}{group}"))
            tips[f"{prefix}{group}"] = [one.tips[at] for at in places]
            if group == "missing":
                # At the foot of the axes: it has no height.
                drawn.set(ydata=[0.03] * len(places), transform=axes.get_xaxis_transform())
    if one.best is not None:
        (ring,) = axes.plot([one.x[one.best]], [heights[one.best]], markersize=11, zorder=4)
        ring.set(linestyle="none", marker="o", markerfacecolor="none", markeredgewidth=1.6)
        ring.set(markeredgecolor=COLOURS["up"], clip_on=False, gid=mark(f"{prefix}best"))
    return tips


def _reaches(axes: Axes, one: Course, k: float, name: str) -> None:
    """Draw the intervals that there are."""
    sure = [
        (one.x[at], k * low, k * high)
        for at in one.drawn
        if (low := one.low[at]) is not None and (high := one.high[at]) is not None
    ]
    if sure:
        places, lows, highs = zip(*sure, strict=True)
        axes.vlines(places, lows, highs, color=COLOURS["fg"], linewidth=1.4, gid=mark(name))


def _values(many: Sequence[Course], metric: str) -> list[float]:
    found = [v for one in many for side in (one.y, one.low, one.high) for v in side]
    return [factor(metric) * value for value in found if value is not None]


def _differences(axes: Axes, many: Sequence[Course], metric: str) -> None:
    values = _values(many, metric)
    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.06 * (high - low) or 1.0
    limits = marks.Scale(low - room, high + room)
    marks.difference_axis(axes, metric, limits, vertical=True)


def _levels(axes: Axes, one: Course, metric: str) -> None:
    values = _values([one], metric) or [0.0]
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.grid(visible=True, color=COLOURS["line"], linewidth=0.6)
    axes.set_axisbelow(True)


def _places(axes: Axes, x: Sequence[float], axis: Axis, most: int) -> None:
    """Name at most so many of the places: the first, the last, and some between."""
    reach = (x[-1] - x[0]) or 1.0
    axes.set_xlim(x[0] - 0.03 * reach, x[-1] + 0.03 * reach)
    every = math.ceil((len(axis.ticks) - 1) / max(most - 1, 1)) or 1
    kept = [*axis.ticks[:-1:every], axis.ticks[-1]]
    apart = 0.9 * reach / most
    shown = [t for t in kept[:-1] if kept[-1][0] - t[0] >= apart]
    clear: list[tuple[float, str]] = []
    for tick in shown:
        if not clear or tick[0] - clear[-1][0] >= apart:
            clear.append(tick)
    clear.append(kept[-1])
    axes.set_xticks([place for place, _ in clear], [text for _, text in clear])


def _below(drawing: Canvas, label: str) -> None:
    """Say once under all panels what their places are."""
    drawing.text(0.5, 4 / (drawing.get_size_inches()[1] * 72), label, ha="center", va="bottom")
