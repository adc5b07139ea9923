"""The change of each direction against the score that the baseline had."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from bayling_eval.macro import group_of
from bayling_eval.records import Comparison
from bayling_eval.report import view
from bayling_eval.report.figures import marks, placing
from bayling_eval.report.figures.drawn import (
    Drawn,
    about,
    counted,
    factor,
    language,
    listed,
    named,
    plural,
    safe,
    short,
    side,
    side_title,
    signed,
    unit,
)
from bayling_eval.report.figures.svg import COLOURS, Figure, canvas, finish, mark, panel

_WIDTH, _WIDE, _HIGH, _LEFT, _HEAD, _FOOT = 1120, 470, 330, 70, 30, 52
_GAINS = 4
_ROLES = {"regressed": "down", "improved": "up"}
# So few have a name each.
_ALL = 8
# What is beyond the scale stands so far within it, for its label's sake.
_INSET = 0.03
# Of each panel; more names than these are not read.
_LOSSES = 25


def draw(drawn: Drawn) -> list[Figure]:
    """Return a figure of each benchmark, with a panel a side."""
    found: dict[str, dict[str, list[Comparison]]] = {}
    for row in drawn.rows:
        if row.delta is not None and row.baseline_value is not None:
            family, name = side(row)
            found.setdefault(family, {}).setdefault(name, []).append(row)
    several = len(found) > 1
    return [_figure(drawn, family, sides, several=several) for family, sides in found.items()]


def _figure(
    drawn: Drawn, family: str, sides: dict[str, list[Comparison]], *, several: bool
) -> Figure:
    panels = sorted(
        sides.items(), key=lambda one: (one[0] == "other", one[0].startswith("x-"), one)
    )
    rows = [row for _, own in panels for row in own]
    effect = marks.minimum(rows)
    ends = marks.numbers(rows, "delta")
    limits = marks.scale(ends, effect * 1.2 * factor(drawn.metric))
    levels = marks.numbers(rows, "baseline_value")
    room = 0.05 * (max(levels) - min(levels)) or 1.0
    span = (min(levels) - room, max(levels) + room)
    verdicts = [row.verdict for row in rows]
    extra = [("band", f"± {view.effect(drawn.metric, effect)}")] if effect else []
    if not all(limits.holds(_delta(row)) for row in rows):
        extra.append(("off", "beyond the scale, with its number"))
    head = marks.legend_height(marks.legend_words(verdicts, extra), _WIDTH)
    lines = (len(panels) + 1) // 2
    tips: dict[str, list[str]] = {}
    without: list[str] = []
    with canvas(_WIDTH, head + lines * (_HEAD + _HIGH + _FOOT)) as drawing:
        marks.legend(panel(drawing, (0, 0, _WIDTH, head), "legend"), verdicts, extra)
        for at, (name, own) in enumerate(panels):
            left = _LEFT + (at % 2) * (_WIDE + _LEFT + 20)
            top = head + _HEAD + (at // 2) * (_HEAD + _HIGH + _FOOT)
            axes = panel(drawing, (left, top, _WIDE, _HIGH), f"panel-{at}")
            _axes(axes, drawn, side_title(name), limits, span)
            marks.band(axes, drawn.metric, effect, vertical=True)
            tips |= _points(axes, own, limits, name)
            without += _names(axes, own, limits, span)
        return finish(
            drawing,
            safe("level", family),
            f"{short(family)}: change against level" if several else "Change against level",
            _alt(drawn, rows),
            tips=tips,
            note=_note(drawn, without),
        )


def _axes(
    axes: Axes, drawn: Drawn, title: str, limits: marks.Scale, span: tuple[float, float]
) -> None:
    axes.set_title(f"{title}: Δ {unit(drawn.metric)}", fontsize=11.5, weight="bold")
    marks.level_axis(axes, *span)
    marks.difference_axis(axes, drawn.metric, limits, vertical=True)
    axes.set_xlabel(f"{unit(drawn.metric)} of {short(drawn.names[1])}", color=COLOURS["mut"])


def _points(
    axes: Axes, own: Sequence[Comparison], limits: marks.Scale, name: str
) -> dict[str, list[str]]:
    on = [row for row in own if limits.holds(_delta(row))]
    group = f"mark:{name}"
    found = marks.points(axes, on, [_level(r) for r in on], [_delta(r) for r in on], group)
    tips = {key: [marks.tip(on[at], named(on[at])) for at in ats] for key, ats in found.items()}
    return tips | _off_scale(axes, [row for row in own if row not in on], limits, group)


def _off_scale(
    axes: Axes, off: Sequence[Comparison], limits: marks.Scale, group: str
) -> dict[str, list[str]]:
    """Draw an arrow at the edge for each row beyond the scale, coloured only where confirmed."""
    low, high = axes.get_ylim()
    kinds: dict[tuple[str, str], list[Comparison]] = {}
    for row in off:
        worse = abs(_delta(row) - low) < abs(_delta(row) - high)
        role = _ROLES.get(row.verdict, "mut")
        kinds.setdefault(("v" if worse else "^", role), []).append(row)
    tips = {}
    for (shape, role), rows in kinds.items():
        name = f"{group}:off:{'worse' if shape == 'v' else 'better'}:{role}"
        ends = [limits.cut(_delta(row), _INSET) for row in rows]
        (arrows,) = axes.plot([_level(row) for row in rows], ends, shape, clip_on=False)
        arrows.set(markersize=8, color=COLOURS[role], gid=mark(name), zorder=5)
        tips[name] = [marks.tip(row, named(row)) for row in rows]
    return tips


def _names(
    axes: Axes, own: Sequence[Comparison], limits: marks.Scale, span: tuple[float, float]
) -> list[str]:
    """Name confirmed losses, the largest gains and what is off the scale; return who has no room.

    ``own`` is worst first.
    """
    off = [row for row in own if not limits.holds(_delta(row))]
    lost = [row for row in own if row.verdict == "regressed" and row not in off][:_LOSSES]
    gained = [row for row in reversed(own) if row.verdict == "improved" and row not in off]
    shown = [*off, *lost, *gained[:_GAINS]]
    if len(own) <= _ALL:
        shown += [row for row in own if row not in shown]
    low, high = axes.get_ylim()

    def at(row: Comparison) -> tuple[float, float]:
        across = (_level(row) - span[0]) / (span[1] - span[0])
        return across * _WIDE, (high - limits.cut(_delta(row), _INSET)) / (high - low) * _HIGH

    rest = [row for row in own if row not in shown]
    texts = [_short(row) + (f" {signed(_delta(row), 1)}" if row in off else "") for row in shown]
    points = [at(row) for row in (*shown, *rest)]
    room = (0.0, 0.0, float(_WIDE), float(_HIGH))
    placed, without = placing.place(points, texts, marks.SMALL, room, 5)
    for one in placed:
        x, y = points[one.index]
        role = _ROLES.get(shown[one.index].verdict, "fg")
        if one.far:
            middle = one.x + placing.width(texts[one.index], marks.SMALL) / 2
            end = (min(max(x, one.x), 2 * middle - one.x), one.y)
            line = [(px / _WIDE, 1 - py / _HIGH) for px, py in ((x, y), end)]
            axes.plot(*zip(*line, strict=True), color=COLOURS["mut"], linewidth=0.6, zorder=2,
                      transform=axes.transAxes)  # fmt: skip
        axes.text(one.x / _WIDE, 1 - one.y / _HIGH, texts[one.index], transform=axes.transAxes,
                  fontsize=marks.SMALL, va="center_baseline", color=COLOURS[role])  # fmt: skip
    more = [row for row in own if row.verdict == "regressed" and row not in shown]
    return [named(shown[index]) for index in without] + [named(row) for row in more]


def _delta(row: Comparison) -> float:
    return marks.shown(row, "delta") or 0.0


def _level(row: Comparison) -> float:
    return marks.shown(row, "baseline_value") or 0.0


def _short(row: Comparison) -> str:
    other = group_of(row.src_lang, row.tgt_lang) == "other"
    return named(row) if other else language(about(row))


def _alt(drawn: Drawn, rows: Sequence[Comparison]) -> str:
    levels = marks.numbers(rows, "baseline_value")
    lost = marks.numbers([r for r in rows if r.verdict == "regressed"], "baseline_value")
    said = (
        f"Scatter plot of {plural(len(rows), 'direction')}: the difference of "
        f"{short(drawn.names[0])} from {short(drawn.names[1])} against the latter's score, "
        f"{_reach(levels)} {unit(drawn.metric)}: {counted(rows)}."
    )
    if lost:
        said += f" What regressed had {_reach(lost)}."
    return said


def _reach(values: Sequence[float]) -> str:
    low, high = (f"{end(values):.1f}" for end in (min, max))
    return low if low == high else f"{low} to {high}"


def _note(drawn: Drawn, without: Sequence[str]) -> str:
    said = (
        f"Are losses where {short(drawn.names[1])} was weak, or strong? Named are confirmed losses "
        f"and the {_GAINS} largest confirmed gains of each panel, all where they are few; a "
        "triangle with a number is beyond the scale, coloured only where it is confirmed."
    )
    return f"{said} No room for the names of: {listed(list(without))}." if without else said
