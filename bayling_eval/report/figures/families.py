"""Scores by language family: dumbbells from the baseline to the candidate, on one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from bayling_eval import languages
from bayling_eval.aggregate import Line
from bayling_eval.report import view
from bayling_eval.report.figures import marks, placing
from bayling_eval.report.figures.drawn import (
    Drawn,
    about,
    factor,
    labels,
    listed,
    safe,
    short,
    side,
    side_title,
    unit,
)
from bayling_eval.report.figures.svg import COLOURS, Figure, canvas, finish, mark, panel

_WIDTH, _COLUMNS, _LABEL, _HEAD, _FOOT, _ROW = 1120, 3, 165, 22, 34, 15
# Of more systems the table has the numbers; dumbbells would be a smear.
_MOST = 6
_TICKS = 3


@dataclass(frozen=True)
class _Row:
    """One language: the scores of all systems, the candidate's first."""

    key: str
    scores: tuple[float | None, ...]


def draw(drawn: Drawn) -> list[Figure]:
    """Return a figure of each benchmark and side; none with more than six systems."""
    if len(drawn.names) > _MOST:
        return []
    sides: dict[tuple[str, str], list[Line]] = {}
    for line in drawn.lines.get(drawn.metric, ()):
        if line.row.src_lang and line.row.tgt_lang and side(line.row)[1] != "other":
            sides.setdefault(side(line.row), []).append(line)
    several = len({family for family, _ in sides}) > 1
    made = []
    for (family, name), lines in sorted(sides.items(), key=_left_first):
        found = [_Row(about(line.row), _scores(line, drawn.metric)) for line in lines]
        rows = [row for row in found if any(score is not None for score in row.scores)]
        if rows:
            of = f"{short(family)}, " if several else ""
            title = f"Scores by language family, {of}{side_title(name)}"
            without = [row.key for row in found if row not in rows]
            made.append(_figure(drawn, safe("families", family, name), title, rows, without))
    return made


def _left_first(one: tuple[tuple[str, str], object]) -> tuple[str, bool, str]:
    (family, name), _ = one
    return family, name.startswith("x-"), name


def _scores(line: Line, metric: str) -> tuple[float | None, ...]:
    found = (scores.get(metric) for scores in line.scores)
    return tuple(
        None if one is None or one.value is None else one.value * factor(metric) for one in found
    )


def _panels(rows: Sequence[_Row]) -> dict[str, list[_Row]]:
    """Return the rows of each panel, the largest family first; small families are pooled.

    The more languages, the larger a family must be for a panel of its own; of very many the pools
    are by macro-area.
    """
    least = 1 if len(rows) <= 5 else 3 if len(rows) <= 60 else 5
    own: dict[str, list[_Row]] = {}
    for row in rows:
        own.setdefault(_family(row.key), []).append(row)
    if len(rows) <= 5:
        return {"": list(rows)}
    kept: dict[str, list[_Row]] = {}
    for family, members in sorted(own.items(), key=lambda one: (-len(one[1]), one[0])):
        if len(members) >= least:
            kept[family] = members
    for family, members in sorted(own.items()):
        for row in members if family not in kept else ():
            area = languages.table()[row.key].macro_area if row.key in languages.table() else ""
            pool = f"Other families, {area or 'no area'}" if least == 5 else "Other families"
            kept.setdefault(pool, []).append(row)
    return kept


def _family(key: str) -> str:
    found = languages.table().get(key)
    return found.family if found and found.family else "unknown family"


def _figure(
    drawn: Drawn, stem: str, title: str, rows: Sequence[_Row], without: Sequence[str]
) -> Figure:
    panels = _panels(rows)
    values = [score for row in rows for score in row.scores if score is not None]
    room = 0.04 * (max(values) - min(values)) or 1.0
    span = (min(values) - room, max(values) + room)
    names = labels(row.key for row in rows)
    extra = _extra(drawn)
    head = marks.legend_height(marks.legend_words((), extra), _WIDTH)
    places, height = _columns(panels)
    with canvas(_WIDTH, head + height) as drawing:
        marks.legend(panel(drawing, (0, 0, _WIDTH, head), "legend"), (), extra)
        for at, (family, own) in enumerate(panels.items()):
            left, top, wide = places[at]
            box = (left + _LABEL, head + top + _HEAD, wide - _LABEL - 16, len(own) * _ROW)
            axes = panel(drawing, box, f"panel-{at}")
            _panel(axes, family, own, span, names, at)
        return finish(
            drawing,
            stem,
            title,
            _alt(drawn, rows, panels),
            note=_note(drawn, rows, without),
        )


def _columns(
    panels: Mapping[str, Sequence[_Row]],
) -> tuple[list[tuple[float, float, float]], float]:
    """Return left, top and width of each panel, each in the shortest column yet, and the height."""
    count = min(_COLUMNS, len(panels))
    wide = _WIDTH / _COLUMNS if count > 1 else 640.0
    ends = [0.0] * count
    places = []
    for own in panels.values():
        column = ends.index(min(ends))
        places.append((column * wide, ends[column], wide))
        ends[column] += _HEAD + len(own) * _ROW + _FOOT
    return places, max(ends)


def _panel(
    axes: Axes,
    family: str,
    own: Sequence[_Row],
    span: tuple[float, float],
    names: Mapping[str | None, str],
    at: int,
) -> None:
    """Draw the rows of one family, the highest score of the candidate first."""
    ordered = sorted(own, key=lambda row: (-(row.scores[0] or -1e9), row.key))
    axes.set_ylim(len(ordered), 0)
    axes.set_yticks([])
    marks.level_axis(axes, *span)
    if family:
        count = f"{short(family)} ({len(own)})"
        axes.annotate(count, (0, 1), xycoords="axes fraction", xytext=(-_LABEL + 8, 7),
                      textcoords="offset points", weight="bold", annotation_clip=False)  # fmt: skip
    both = []
    for y, row in enumerate(ordered):
        axes.annotate(
            placing.fit(names[row.key], 9.5, _LABEL - 12),
            (0, y + 0.5),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-8, 0),
            textcoords="offset points",
            ha="right",
            va="center_baseline",
            fontsize=9.5,
            annotation_clip=False,
        )
        new, old, *_ = row.scores
        if new is not None and old is not None:
            both.append((min(new, old), max(new, old), y + 0.5, new >= old))
    for up in (True, False):
        ends = [(low, high, y) for low, high, y, rose in both if rose == up]
        marks.bars(axes, ends, f"change:{at}:{'up' if up else 'down'}", 1.6, "mut")
    _others(axes, ordered, at)
    for index, face, name in ((1, "bg", "baseline"), (0, "up", "candidate")):
        found = [(row.scores[index], y + 0.5) for y, row in enumerate(ordered)]
        there = [(x, y) for x, y in found if x is not None]
        if there:
            x, ys = zip(*there, strict=True)
            (dots,) = axes.plot(x, ys, "o", markersize=5.5, clip_on=False, zorder=4 + (index == 0))
            dots.set(markerfacecolor=COLOURS[face], markeredgecolor=COLOURS["up"])
            dots.set_gid(mark(f"{name}:{at}"))


def _others(axes: Axes, ordered: Sequence[_Row], at: int) -> None:
    """Draw the further baselines as ticks, many as the range that they span."""
    found = [
        (y + 0.5, [s for s in row.scores[2:] if s is not None]) for y, row in enumerate(ordered)
    ]
    if max((len(row.scores) for row in ordered), default=0) - 2 > _TICKS - 1:
        spans = [(min(own), max(own), y) for y, own in found if own]
        marks.bars(axes, spans, f"others:{at}", 6, "line")
        return
    ticks = [(x, y) for y, own in found for x in own]
    if ticks:
        x, ys = zip(*ticks, strict=True)
        (drawn,) = axes.plot(x, ys, "|", markersize=9, clip_on=False, zorder=2)
        drawn.set(markeredgecolor=COLOURS["mut"], gid=mark(f"others:{at}"))


def _extra(drawn: Drawn) -> list[tuple[str, str]]:
    extra = [("filled", short(drawn.names[0])), ("hollow", short(drawn.names[1]))]
    further = [short(name, 20) for name in drawn.names[2:]]
    if len(further) > _TICKS - 1:
        return [*extra, ("range", f"range of {listed(further)}")]
    return [*extra, ("tick", listed(further))] if further else extra


def _alt(drawn: Drawn, rows: Sequence[_Row], panels: Mapping[str, Sequence[_Row]]) -> str:
    both = [r.scores[:2] for r in rows if r.scores[0] is not None and r.scores[1] is not None]
    better = view.sign(drawn.metric)
    rose = sum(better * ((new or 0.0) - (old or 0.0)) > 0 for new, old in both)
    values = [score for row in rows for score in row.scores[:1] if score is not None]
    reach = f", {min(values):.1f} to {max(values):.1f}" if values else ""
    return (
        f"Dumbbell plots of {len(rows)} languages in {len(panels)} panels by family: scores in "
        f"{unit(drawn.metric)} of {short(drawn.names[0])}{reach}, beside those of "
        f"{short(drawn.names[1])}; {rose} of {len(both)} are better."
    )


def _note(drawn: Drawn, rows: Sequence[_Row], without: Sequence[str]) -> str:
    lower = ", lower is better" if view.sign(drawn.metric) < 0 else ""
    said = f"Scores in {unit(drawn.metric)}{lower}, one scale in all panels; a score that is "
    said += "missing is not drawn. Verdicts are above: a gap here need not be a real one."
    known = labels(without)
    names = [known[key] for key in without]
    return f"{said} Without any score: {listed(names)}." if names else said
