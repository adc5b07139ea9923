"""What all figures share: marks of verdicts, scales, and axes that say which way is worse."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bayling_eval.compare import MARKS
from bayling_eval.records import Comparison, Verdict
from bayling_eval.report import view
from bayling_eval.report.figures.drawn import factor, signed
from bayling_eval.report.figures.svg import COLOURS, mark

SMALL = 9.5
"""Pixels of a text beside the point."""
_WAVE = Path(
    [(x, y + low) for low in (-0.4, 0.4) for x, y in ((-1, 0), (-0.4, 0.6), (0.4, -0.6), (1, 0))],
    [Path.MOVETO, *[Path.CURVE4] * 3, Path.MOVETO, *[Path.CURVE4] * 3],
)
_SHAPES: Mapping[Verdict, tuple[str | Path, float, str, str]] = {
    "regressed": ("v", 7, "down", "down"),
    "leans_down": ("v", 7, "bg", "down"),
    "below_minimum_effect": (_WAVE, 9, "none", "fg"),
    "no_change": ("o", 5, "mut", "mut"),
    "leans_up": ("^", 7, "bg", "up"),
    "improved": ("^", 7, "up", "up"),
}
"""Of each verdict the marker, its size in pixels, and the roles of face and edge."""
# A scale holds everything unless a few rows reach this many times as far as nine in ten do: they
# would leave the others a line of dots.
_FAR = 4
_KEPT = 2.5


@dataclass(frozen=True)
class Scale:
    """A range of differences as they are shown, zero within."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Return whether a value is on the scale."""
        return self.low <= value <= self.high

    def with_room(self, values: Sequence[float]) -> "Scale":
        """Return a scale that holds these values too."""
        low, high = (end(values, default=0.0) for end in (min, max))
        room = 0.04 * (max(high, self.high) - min(low, self.low))
        return Scale(
            self.low if low >= self.low else low - room,
            self.high if high <= self.high else high + room,
        )

    def cut(self, value: float, inset: float = 0.0) -> float:
        """Return the value, or the end that it is beyond; ``inset`` is a share of the range."""
        room = inset * (self.high - self.low)
        return value if self.holds(value) else min(max(value, self.low + room), self.high - room)


def scale(values: Iterable[float], least: float = 0.0) -> Scale:
    """Return a scale that holds the values, zero, and ``least`` either way.

    Values far beyond nine in ten of the others are left off: they are for ``off_scale``.
    """
    found = np.array([v for v in values if math.isfinite(v)], dtype=np.float64)
    low, high = min(0.0, -least), max(0.0, least)
    if found.size:
        usual = max(float(np.quantile(np.abs(found), 0.9)), least)
        far = float(np.abs(found).max()) > _FAR * usual > 0
        kept = found[np.abs(found) <= _KEPT * usual] if far else found
        low, high = min(low, float(kept.min())), max(high, float(kept.max()))
    room = 0.04 * (high - low) or 1.0
    return Scale(low - room, high + room)


def shown(row: Comparison, name: str) -> float | None:
    """Return a number of a row as it is shown, in percent points where the page does."""
    value = getattr(row, name)
    usable = isinstance(value, float | int) and math.isfinite(value)
    return float(value) * factor(row.metric) if usable else None


def numbers(rows: Iterable[Comparison], *names: str) -> list[float]:
    """Return the numbers of rows that there are."""
    return [v for row in rows for name in names if (v := shown(row, name)) is not None]


def difference_axis(axes: Axes, metric: str, limits: Scale, *, vertical: bool = False) -> None:
    """Make an axis of differences: worse is left or below, also where lower is better."""
    low, high = (limits.low, limits.high)[:: view.sign(metric)]
    (axes.set_ylim if vertical else axes.set_xlim)(low, high)
    axis = axes.yaxis if vertical else axes.xaxis
    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ticks = [t for t in axis.get_major_locator().tick_values(low, high) if limits.holds(t)]
    digits = _digits(ticks)
    axis.set_ticks(ticks)
    axis.set_major_formatter(FuncFormatter(lambda value, _: signed(value, digits)))
    axis.grid(visible=True, color=COLOURS["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    line = axes.axhline if vertical else axes.axvline
    line(0, color=COLOURS["mut"], linewidth=1.2, zorder=1.5)
    for words, end in (("← worse", 0), ("better →", 1)):
        _hint(axes, words, end, vertical=vertical)


def _hint(axes: Axes, words: str, end: int, *, vertical: bool) -> None:
    """Say at one end of an axis of differences which way that is, under the labels of its ticks."""
    text = axes.annotate(
        words,
        (0, end) if vertical else (end, 0),
        xycoords="axes fraction",
        xytext=(-34, 0) if vertical else (0, -26),
        textcoords="offset points",
        fontsize=10,
        color=COLOURS["mut"],
    )
    if vertical:
        text.set(rotation=90, ha="center", va="top" if end else "bottom")
    else:
        text.set(ha="right" if end else "left")


def level_axis(axes: Axes, low: float, high: float) -> None:
    """Make a horizontal axis of scores."""
    axes.set_xlim(low, high)
    locator = MaxNLocator(6, steps=[1, 2, 5, 10])
    ticks = [t for t in locator.tick_values(low, high) if low <= t <= high]
    digits = _digits(ticks)
    axes.set_xticks(ticks, [f"{t:z.{digits}f}".replace("-", "\N{MINUS SIGN}") for t in ticks])
    axes.xaxis.grid(visible=True, color=COLOURS["line"], linewidth=0.6)
    axes.set_axisbelow(True)


def band(axes: Axes, metric: str, effect: float, *, vertical: bool = False) -> None:
    """Draw the differences that are too small to matter, either way."""
    size = effect * factor(metric)
    if size:
        draw = axes.axhspan if vertical else axes.axvspan
        draw(-size, size, color=COLOURS["band"], linewidth=0, zorder=0.5, gid=mark("band"))


def minimum(rows: Iterable[Comparison]) -> float:
    """Return the minimum effect that rows were judged by, zero where none was."""
    return next((row.minimum_effect for row in rows if row.minimum_effect), 0.0)


def points(
    axes: Axes, rows: Sequence[Comparison], x: Sequence[float], y: Sequence[float], group: str
) -> dict[str, list[int]]:
    """Draw each row's mark at its place; return by name of the marks' group the rows in it."""
    found: dict[str, list[int]] = {}
    for verdict in _SHAPES:
        own = [at for at, row in enumerate(rows) if row.verdict == verdict]
        if own:
            name = f"{group}:{verdict}"
            shape(axes, verdict, [x[at] for at in own], [y[at] for at in own], name)
            found[name] = own
    return found


def shape(axes: Axes, verdict: Verdict, x: Sequence[float], y: Sequence[float], name: str) -> None:
    """Draw marks of a verdict."""
    marker, size, face, edge = _SHAPES[verdict]
    axes.plot(
        x,
        y,
        linestyle="none",
        marker=marker,
        markersize=size,
        markerfacecolor=COLOURS.get(face, "none"),
        markeredgecolor=COLOURS[edge],
        markeredgewidth=1.1,
        clip_on=False,
        zorder=4,
        gid=mark(name),
    )


def bars(
    axes: Axes, ends: Sequence[tuple[float, float, float]], name: str, width: float, role: str
) -> None:
    """Draw horizontal bars: low end, high end and height of each."""
    if ends:
        low, high, y = zip(*ends, strict=True)
        drawn = axes.hlines(y, low, high, color=COLOURS[role], linewidth=width, gid=mark(name))
        drawn.set(zorder=3 if width > 1.5 else 2.5, clip_on=False)


def off_scale(
    axes: Axes, ends: Sequence[tuple[float, float]], limits: Scale, role: str, name: str
) -> None:
    """Draw an arrow at the edge for each value and height beyond the scale, with its number.

    Of several at one height and edge the farthest has its number, and how many more there are.
    """
    lower = axes.xaxis_inverted()
    beyond: dict[tuple[float, bool], list[float]] = {}
    for value, y in ends:
        if not limits.holds(value):
            beyond.setdefault((y, (value < limits.low) != lower), []).append(value)
    for (y, left), values in beyond.items():
        value = max(values, key=abs)
        more = f" and {len(values) - 1} more" if len(values) > 1 else ""
        axes.plot(
            [limits.cut(value)],
            [y],
            linestyle="none",
            marker="<" if left else ">",
            markersize=6,
            color=COLOURS[role],
            clip_on=False,
            zorder=5,
            gid=mark(f"{name}:off"),
        )
        axes.annotate(
            f"{signed(value, 1)}{more}",
            (limits.cut(value), y),
            xytext=(-6 if left else 6, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center_baseline",
            fontsize=SMALL,
            color=COLOURS[role],
            annotation_clip=False,
        )


def legend(axes: Axes, verdicts: Iterable[Verdict], extra: Sequence[tuple[str, str]] = ()) -> None:
    """Say in one or more lines what marks mean; the axes are as wide as the drawing.

    ``extra`` are words with their kind: ``thick``, ``thin``, ``band``, ``range``, ``tick``,
    ``off``, ``mean``, ``hollow`` or ``filled``.
    """
    width = axes.get_window_extent().width
    height = axes.get_window_extent().height
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    met = set(verdicts)
    entries = [(v, view.WORDS[v]) for v in _SHAPES if v in met]
    x, y = 8.0, 8.0
    for kind, words in [*entries, *extra]:
        length = 24 + 6.4 * len(words)
        if x + length > width and x > 8:
            x, y = 8.0, y + 17
        _sample(axes, kind, x, y)
        axes.text(x + 12, y, words, va="center_baseline", color=COLOURS["mut"], fontsize=10.5)
        x += length + 10


def legend_height(words: Sequence[str], width: float) -> float:
    """Return the pixels that ``legend`` needs for entries of these words."""
    x, lines = 8.0, 1
    for text in words:
        length = 24 + 6.4 * len(text)
        if x + length > width and x > 8:
            x, lines = 8.0, lines + 1
        x += length + 10
    return 17.0 * lines + 4


def legend_words(verdicts: Iterable[Verdict], extra: Sequence[tuple[str, str]]) -> list[str]:
    """Return the words of a legend in order."""
    met = set(verdicts)
    return [view.WORDS[v] for v in _SHAPES if v in met] + [words for _, words in extra]


def _sample(axes: Axes, kind: str, x: float, y: float) -> None:
    """Draw one mark of a legend."""
    if kind in _SHAPES:
        shape(axes, kind, [x], [y], f"legend:{kind}")  # type: ignore[arg-type]
        return
    name = mark(f"legend:{kind}")
    if kind in ("thick", "thin"):
        width = 3.0 if kind == "thick" else 1.0
        axes.plot([x - 8, x + 8], [y, y], color=COLOURS["mut"], linewidth=width, gid=name)
    elif kind in ("band", "range"):
        role, high = ("band", 6) if kind == "band" else ("line", 3)
        axes.fill_between([x - 8, x + 8], y - high, y + high, color=COLOURS[role], gid=name, lw=0)
    elif kind == "off":
        axes.plot([x], [y], "v", color=COLOURS["mut"], markersize=7, gid=name)
    elif kind == "tick":
        axes.plot([x, x], [y - 5, y + 5], color=COLOURS["mut"], linewidth=1.2, gid=name)
    else:
        face = {"hollow": "bg", "filled": "up"}.get(kind, "fg")
        edge = COLOURS["up" if kind in ("hollow", "filled") else "fg"]
        marker = "s" if kind == "mean" else "o"
        (dot,) = axes.plot([x], [y], marker, markerfacecolor=COLOURS[face], markeredgecolor=edge)
        dot.set(markersize=6, gid=name)


def tip(row: Comparison, name: str) -> str:
    """Return what a row's mark says under the pointer."""
    delta = view.number(row.delta, row.metric, signed=True)
    reach = view.interval(row.ci_low, row.ci_high, row.metric)
    return f"{MARKS[row.verdict]} {name}: {delta} {reach}, {view.WORDS[row.verdict]}"


def _digits(ticks: Sequence[float]) -> int:
    steps = np.diff(ticks)
    return max(0, -math.floor(math.log10(steps.min()) + 1e-9)) if len(steps) else 1
