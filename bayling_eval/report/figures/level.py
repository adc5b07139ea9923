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
    named = sorted(sides.items(), key=lambda one: (one[0] == "other", one[0].startswith("x-"), one))
    rows = [row for _, own in named for row in own]
    effect = marks.minimum(rows)
    ends = marks.numbers(rows, "delta")
    limits = marks.scale(ends, effect * 1.2 * factor(drawn.metric))
    levels = marks.numbers(rows, "baseline_value")
    room = 0.05 * (max(levels) - min(levels)) or 1.0
    span = (min(levels) - room, max(levels) + room)
    verdicts = [row.verdict for row in rows]
    extra = [("band", f"± {view.effect(drawn.metric, effect)}")] if effect else []
    head = marks.legend_height(marks.legend_words(verdicts, extra), _WIDTH)
    lines = (len(named) + 1) // 2
    tips: dict[str, list[str]] = {}
    without: list[str] = []
    with canvas(_WIDTH, head + lines * (_HEAD + _HIGH + _FOOT)) as drawing:
        marks.legend(panel(drawing, (0, 0, _WIDTH, head), "legend"), verdicts, extra)
        for at, (name, own) in enumerate(named):
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
    off = [row for row in own if not limits.holds(_delta(row))]
    low = axes.get_ylim()[0]
    for row in off:
        end = limits.cut(_delta(row), _INSET)
        worse = abs(end - low) < abs(end - axes.get_ylim()[1])
        role = "down" if worse else "up"
        (arrow,) = axes.plot([_level(row)], [end], "v" if worse else "^", clip_on=False)
        arrow.set(markersize=8, color=COLOURS[role], gid=mark(f"{group}:off"), zorder=5)
    return {key: [marks.tip(on[at], _named(on[at])) for at in ats] for key, ats in found.items()}


def _names(
    axes: Axes, own: Sequence[Comparison], limits: marks.Scale, span: tuple[float, float]
) -> list[str]:
    """Name confirmed losses, the largest gains and what is off the scale; return who has no room.

    ``own`` is worst first.
    """
    off = [row for row in own if not limits.holds(_delta(row))]
    lost = [row for row in own if row.verdict == "regressed" and row not in off][:_LOSSES]
    gained = [row for row in reversed(own) if row.verdict == "improved" and row not in off]
    named = [*off, *lost, *gained[:_GAINS]]
    if len(own) <= _ALL:
        named += [row for row in own if row not in named]
    low, high = axes.get_ylim()

    def at(row: Comparison) -> tuple[float, float]:
        across = (_level(row) - span[0]) / (span[1] - span[0])
        return across * _WIDE, (high - limits.cut(_delta(row), _INSET)) / (high - low) * _HIGH

    rest = [row for row in own if row not in named]
    texts = [_short(row) + (f" {signed(_delta(row), 1)}" if row in off else "") for row in named]
    points = [at(row) for row in (*named, *rest)]
    room = (0.0, 0.0, float(_WIDE), float(_HIGH))
    placed, without = placing.place(points, texts, marks.SMALL, room, 5)
    for one in placed:
        x, y = points[one.index]
        role = _ROLES.get(named[one.index].verdict, "fg")
        if one.far:
            middle = one.x + placing.width(texts[one.index], marks.SMALL) / 2
            end = (min(max(x, one.x), 2 * middle - one.x), one.y)
            line = [(px / _WIDE, 1 - py / _HIGH) for px, py in ((x, y), end)]
            axes.plot(*zip(*line, strict=True), color=COLOURS["mut"], linewidth=0.6, zorder=2,
                      transform=axes.transAxes)  # fmt: skip
        axes.text(one.x / _WIDE, 1 - one.y / _HIGH, texts[one.index], transform=axes.transAxes,
                  fontsize=marks.SMALL, va="center_baseline", color=COLOURS[role])  # fmt: skip
    more = [row for row in own if row.verdict == "regressed" and row not in named]
    return [_named(named[index]) for index in without] + [_named(row) for row in more]


def _delta(row: Comparison) -> float:
    return marks.shown(row, "delta") or 0.0


def _level(row: Comparison) -> float:
    return marks.shown(row, "baseline_value") or 0.0


def _short(row: Comparison) -> str:
    other = group_of(row.src_lang, row.tgt_lang) == "other"
    return _named(row) if other else language(about(row))


def _named(row: Comparison) -> str:
    return f"{language(row.src_lang)} → {language(row.tgt_lang)}"


def _alt(drawn: Drawn, rows: Sequence[Comparison]) -> str:
    levels = marks.numbers(rows, "baseline_value")
    lost = marks.numbers([r for r in rows if r.verdict == "regressed"], "baseline_value")
    said = (
        f"Scatter plot of {len(rows)} directions: the difference of {short(drawn.names[0])} from "
        f"{short(drawn.names[1])} against the latter's score, {min(levels):.1f} to "
        f"{max(levels):.1f} {unit(drawn.metric)}: {counted(rows)}."
    )
    if lost:
        said += f" Those that regressed had {min(lost):.1f} to {max(lost):.1f}."
    return said


def _note(drawn: Drawn, without: Sequence[str]) -> str:
    said = (
        f"Are losses where {short(drawn.names[1])} was weak, or strong? Named are confirmed losses "
        f"and the {_GAINS} largest confirmed gains of each panel, all where they are few; a "
        "triangle with a number is beyond the scale."
    )
    return f"{said} No room for the names of: {listed(list(without))}." if without else said
