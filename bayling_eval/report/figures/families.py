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
    labels,
    listed,
    plural,
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
    """One language: the scores of a pair that was compared, and of the further baselines."""

    key: str
    new: float
    old: float
    others: tuple[float | None, ...]
    """None where that pair has no difference: it is not drawn."""

    @property
    def values(self) -> list[float]:
        """All that is drawn."""
        return [self.new, self.old, *(score for score in self.others if score is not None)]


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
        rows = [row for line in lines if (row := _row(line))]
        if rows:
            of = f"{short(family)}, " if several else ""
            title = f"Scores by language family, {of}{side_title(name)}"
            kept = {row.key for row in rows}
            without = [about(line.row) for line in lines if about(line.row) not in kept]
            made.append(_figure(drawn, safe("families", family, name), title, rows, without))
    return made


def _left_first(one: tuple[tuple[str, str], object]) -> tuple[str, bool, str]:
    (family, name), _ = one
    return family, name.startswith("x-"), name


def _row(line: Line) -> _Row | None:
    """Return what is drawn of a line: only what was compared, under the signature it was."""
    new, old = (marks.shown(line.row, f"{name}_value") for name in ("candidate", "baseline"))
    if line.row.delta is None or new is None or old is None:
        return None
    others = (
        marks.shown(row, "baseline_value") if row and row.delta is not None else None
        for row in line.others
    )
    return _Row(about(line.row), new, old, tuple(others))


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
    values = [score for row in rows for score in row.values]
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
    ordered = sorted(own, key=lambda row: (-row.new, row.key))
    axes.set_ylim(len(ordered), 0)
    axes.set_yticks([])
    marks.level_axis(axes, *span)
    if family:
        count = f"{short(family)} ({len(own)})"
        axes.annotate(count, (0, 1), xycoords="axes fraction", xytext=(-_LABEL + 8, 7),
                      textcoords="offset points", weight="bold", annotation_clip=False)  # fmt: skip
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
    for up in (True, False):
        ends = [
            (min(row.new, row.old), max(row.new, row.old), y + 0.5)
            for y, row in enumerate(ordered)
            if (row.new >= row.old) == up
        ]
        marks.bars(axes, ends, f"change:{at}:{'up' if up else 'down'}", 1.6, "mut")
    _others(axes, ordered, at)
    heights = [y + 0.5 for y in range(len(ordered))]
    for x, face, name in (
        ([row.old for row in ordered], "bg", "baseline"),
        ([row.new for row in ordered], "up", "candidate"),
    ):
        (dots,) = axes.plot(x, heights, "o", markersize=5.5, clip_on=False, zorder=4)
        dots.set(markerfacecolor=COLOURS[face], markeredgecolor=COLOURS["up"])
        dots.set_gid(mark(f"{name}:{at}"))


def _others(axes: Axes, ordered: Sequence[_Row], at: int) -> None:
    """Draw the further baselines as ticks, many as the range that they span."""
    found = [(y + 0.5, row.values[2:]) for y, row in enumerate(ordered)]
    if max(len(row.others) for row in ordered) > _TICKS - 1:
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
    rose = sum(view.sign(drawn.metric) * (row.new - row.old) > 0 for row in rows)
    low, high = (end(row.new for row in rows) for end in (min, max))
    return (
        f"Dumbbell plots of {plural(len(rows), 'language')} in {plural(len(panels), 'panel')} by "
        f"family: scores in {unit(drawn.metric)} of {short(drawn.names[0])}, {low:.1f} to "
        f"{high:.1f}, beside those of {short(drawn.names[1])}; better in {rose} of {len(rows)}."
    )


def _note(drawn: Drawn, rows: Sequence[_Row], without: Sequence[str]) -> str:
    lower = ", lower is better" if view.sign(drawn.metric) < 0 else ""
    said = f"Scores in {unit(drawn.metric)}{lower}, one scale in all panels. "
    said += "Verdicts are above: a gap here need not be a real one."
    if without:
        names = labels(without)
        said += f" Not drawn, without a difference: {plural(len(without), 'language')}, the table "
        said += f"says why: {listed([names[key] for key in without])}."
    if absent := sum(score is None for row in rows for score in row.others):
        said += f" Of the other baselines {plural(absent, 'score')} without a difference "
        said += f"{'is' if absent == 1 else 'are'} not drawn."
    return said
