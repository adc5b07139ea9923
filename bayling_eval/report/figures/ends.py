"""The worst and best directions of each side on a page of paper."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from bayling_eval.compare import MARKS
from bayling_eval.macro import group_of
from bayling_eval.records import Comparison
from bayling_eval.report import view
from bayling_eval.report.figures import marks
from bayling_eval.report.figures.drawn import (
    Drawn,
    about,
    factor,
    labels,
    language,
    named,
    short,
    side,
    side_title,
)
from bayling_eval.report.figures.sheet import (
    BOTTOM,
    MARGIN,
    ROOM,
    SMALL,
    Sheet,
    differences,
    fit,
    shrink,
)
from bayling_eval.report.figures.svg import COLOURS

_PANELS = 4
_ROW, _TITLE, _STRIP, _FOOT = 13.0, 16.0, 30.0, 30.0
# Beside a panel there is room for the number of what is beyond its scale.
_LABEL, _GAP, _LEGEND = 96.0, 26.0, 40.0
_EXTRA = "95 % interval"


@dataclass(frozen=True)
class Side:
    """One panel: rows that are drawn, worst first, and those between them."""

    title: str
    worst: tuple[Comparison, ...]
    between: tuple[Comparison, ...] = ()
    best: tuple[Comparison, ...] = ()

    @property
    def rows(self) -> tuple[Comparison, ...]:
        """The rows that have a line of their own."""
        return self.worst + self.best

    @property
    def height(self) -> float:
        """Points of the rows and of the strip between them."""
        return _ROW * len(self.rows) + (_STRIP if self.between else 0)


def sides(drawn: Drawn) -> tuple[list[Side], int]:
    """Return the panels, and how many more there would be; those with most losses are kept."""
    found: dict[tuple[str, str], list[Comparison]] = {}
    for row in drawn.rows:
        if row.delta is not None:
            found.setdefault(side(row), []).append(row)
    order = sorted(found, key=lambda key: -sum(r.verdict == "regressed" for r in found[key]))
    kept = [key for key in found if key in order[:_PANELS]]
    several = len({family for family, _ in found}) > 1
    # Two panels have the whole height of a page, four have half of it.
    ends = 20 if len(kept) <= 2 else 9
    made = []
    for family, name in sorted(kept):
        rows = tuple(found[family, name])
        title = f"{short(family)}: {side_title(name)}" if several else side_title(name)
        whole = len(rows) <= 2 * ends + 2
        made.append(
            Side(title, rows) if whole else Side(title, rows[:ends], rows[ends:-ends], rows[-ends:])
        )
    return made, len(found) - len(kept)


def height(found: Sequence[Side]) -> float:
    """Return the points that the panels need."""
    pairs = [found[at : at + 2] for at in range(0, len(found), 2)]
    bodies = (max(one.height for one in pair) for pair in pairs)
    return _LEGEND + sum(_TITLE + body + _FOOT for body in bodies)


def draw(sheet: Sheet, drawn: Drawn, found: Sequence[Side]) -> None:
    """Draw the panels, two beside each other."""
    rows = [row for one in found for row in (*one.rows, *one.between)]
    effect = marks.minimum(rows)
    ends = marks.numbers(rows, "delta", "ci_low", "ci_high")
    limits = marks.scale(ends, effect * 1.2 * factor(drawn.metric))
    extra = [("thick", _EXTRA)]
    if effect:
        extra.append(("band", f"± {view.effect(drawn.metric, effect)}, too small to matter"))
    legend = sheet.axes(MARGIN, sheet.y, ROOM, _LEGEND, "legend")
    marks.legend(legend, [row.verdict for row in rows], extra)
    for text in legend.texts:
        text.set_fontsize(SMALL + 1)
    top = sheet.y + _LEGEND
    for at in range(0, len(found), 2):
        pair = found[at : at + 2]
        for place, one in enumerate(pair):
            _panel(sheet, one, drawn.metric, limits, (MARGIN + place * ROOM / 2, top))
        top += _TITLE + max(one.height for one in pair) + _FOOT
    sheet.y = min(top, BOTTOM)


def _panel(
    sheet: Sheet, one: Side, metric: str, limits: marks.Scale, corner: tuple[float, float]
) -> None:
    left, top = corner
    room = ROOM / 2 - 8
    top += _TITLE
    start = left + _LABEL + _GAP
    title = fit(one.title, SMALL + 1, room)
    sheet.label(title, left, top - 9, SMALL + 1, right=False)
    gid = f"ends-{left:.0f}-{top:.0f}"
    axes = sheet.axes(start, top, room - _LABEL - 2 * _GAP, one.height, gid)
    axes.set_ylim(one.height, 0)
    axes.set_yticks([])
    differences(axes, metric, limits)
    marks.band(axes, metric, marks.minimum(one.rows))
    gap = _STRIP if one.between else 0
    places = [
        (at + 0.5) * _ROW + (gap if at >= len(one.worst) else 0) for at in range(len(one.rows))
    ]
    names = labels(about(row) for row in one.rows)
    roles = {"regressed": "down", "improved": "up"}
    shown = [marks.shown(row, "delta") or 0.0 for row in one.rows]
    for row, y, value in zip(one.rows, places, shown, strict=True):
        sheet.label(_named(row, names), start - _GAP, top + y)
        role = roles.get(row.verdict, "mut")
        low, high = marks.shown(row, "ci_low"), marks.shown(row, "ci_high")
        if low is not None and high is not None and low <= limits.high and high >= limits.low:
            marks.bars(axes, [(limits.cut(low), limits.cut(high), y)], gid, 2.0, role)
        marks.off_scale(axes, [(value, y)], limits, role, gid)
    on = [at for at, value in enumerate(shown) if limits.holds(value)]
    rows = [one.rows[at] for at in on]
    marks.points(axes, rows, [shown[at] for at in on], [places[at] for at in on], gid)
    shrink(axes)
    if one.between:
        _strip(axes, one, limits)


def _strip(axes: Axes, one: Side, limits: marks.Scale) -> None:
    """Draw the rows between the ends as ticks, under how many they are."""
    top = len(one.worst) * _ROW
    axes.text(
        0.5,
        top + 6,
        fit(_counted(one), SMALL - 0.5, ROOM / 2 - _LABEL),
        transform=axes.get_yaxis_transform(),
        ha="center",
        va="center_baseline",
        fontsize=SMALL - 0.5,
        color=COLOURS["mut"],
        bbox={"facecolor": COLOURS["bg"], "edgecolor": "none", "pad": 1},
    )
    values = [v for v in marks.numbers(one.between, "delta") if limits.holds(v)]
    axes.vlines(values, top + 13, top + _STRIP - 3, color=COLOURS["mut"], linewidth=0.3)


def _named(row: Comparison, names: dict[str | None, str]) -> str:
    """Return what to call a row in the room of a label: both languages where neither is said."""
    if group_of(row.src_lang, row.tgt_lang) != "other":
        return fit(names[about(row)], SMALL, _LABEL)
    whole = named(row)
    if fit(whole, SMALL, _LABEL) == whole:
        return whole
    half = (_LABEL - 14) / 2
    return " → ".join(fit(language(key), SMALL, half) for key in (row.src_lang, row.tgt_lang))


def _counted(one: Side) -> str:
    verdicts = [row.verdict for row in one.between]
    counts = [f"{mark} {verdicts.count(v)}" for v, mark in MARKS.items() if v in verdicts]
    return f"{len(one.between)} between: {', '.join(counts)}"
