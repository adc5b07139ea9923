"""Every direction in order: its difference, both intervals, verdict, and the other baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes

from bayling_eval.compare import MARKS
from bayling_eval.macro import group_of
from bayling_eval.records import Comparison
from bayling_eval.report import view
from bayling_eval.report.figures import marks, placing
from bayling_eval.report.figures.drawn import (
    Drawn,
    about,
    counted,
    factor,
    labels,
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

LIMIT = 60
"""Rows of a panel; of more, the ends are drawn."""
ENDS = 20
"""Rows at each end."""
_WIDTH, _LABEL, _GAP, _TOP, _BOTTOM = 1120, 256, 40, 26, 40
_STRIP = 64
# More further baselines than these are drawn as the range that they span.
_TICKS = 3
# As much wider the scale may be for their sake; what is beyond has an arrow and its number.
_WIDER = 1.5


@dataclass(frozen=True)
class _Side:
    """One panel: its rows by language, and what is not drawn one by one."""

    name: str
    rows: Mapping[str, Comparison]
    order: Sequence[str]
    """Languages from top to bottom."""
    between: Sequence[Comparison] = ()
    """Rows of the strip after the first ``ENDS``."""
    height: float = 15.0
    tips: dict[str, list[str]] = field(default_factory=dict)

    def places(self) -> dict[str, float]:
        """Return how far from the top the middle of each row is, in pixels."""
        gap = _STRIP if self.between else 0
        return {
            key: (at + 0.5) * self.height + (gap if at >= ENDS else 0)
            for at, key in enumerate(self.order)
        }

    def size(self) -> float:
        return len(self.order) * self.height + (_STRIP if self.between else 0)


def draw(drawn: Drawn) -> list[Figure]:
    """Return a figure of each benchmark and pivot; of many rows the ends, then all, folded."""
    sides: dict[tuple[str, str], dict[str, list[Comparison]]] = {}
    for row in drawn.rows:
        family, name = side(row)
        pivot = name.removeprefix("x-").removesuffix("-x")
        sides.setdefault((family, pivot), {}).setdefault(name, []).append(row)
    made = []
    several = len({family for family, _ in sides}) > 1
    for (family, pivot), own in sorted(sides.items(), key=lambda one: (one[0][0], one[0][1])):
        panels = sorted(own.items(), key=lambda one: one[0].startswith("x-"))
        if not any(row.delta is not None for _, rows in panels for row in rows):
            continue
        title = f"{short(family)}: " if several else ""
        title += " and ".join(side_title(name) for name, _ in panels)
        stem = safe("directions", family, pivot)
        most = max(sum(row.delta is not None for row in rows) for _, rows in panels)
        if most > LIMIT:
            made.append(_figure(drawn, stem, title, [_ends(n, rows) for n, rows in panels]))
            title, stem = f"{title}, all", f"{stem}-all"
        made.append(_figure(drawn, stem, title, _together(panels), fold=most > LIMIT))
    return made


def _together(panels: Sequence[tuple[str, list[Comparison]]]) -> list[_Side]:
    """Return panels that share the order of the first: worst first, then what only others have."""
    order: dict[str, None] = {}
    for _, rows in panels:
        order |= dict.fromkeys(about(row) for row in rows if row.delta is not None)
    height = 20.0 if len(order) <= 12 else 15.0 if len(order) <= LIMIT else 13.0
    return [_Side(n, {about(r): r for r in rows}, list(order), height=height) for n, rows in panels]


def _ends(name: str, rows: Sequence[Comparison]) -> _Side:
    """Return a panel of the worst and the best, each panel in its own order."""
    there = [row for row in rows if row.delta is not None]
    kept = there if len(there) <= LIMIT else [*there[:ENDS], *there[-ENDS:]]
    between = there[ENDS:-ENDS] if len(there) > LIMIT else ()
    own = {about(row): row for row in kept}
    return _Side(name, own, list(own), between)


def _figure(
    drawn: Drawn, stem: str, title: str, sides: Sequence[_Side], *, fold: bool = False
) -> Figure:
    rows = [row for one in sides for row in (*one.rows.values(), *one.between)]
    there = [row for row in rows if row.delta is not None]
    others = _others(drawn)
    ends = marks.numbers(there, "delta", "simultaneous_ci_low", "simultaneous_ci_high")
    ends += marks.numbers(there, "ci_low", "ci_high")
    reach = _WIDER * max((abs(end) for end in ends), default=0.0)
    ends += [v for row in there for v in others.get(row.task, ()) if abs(v) <= reach]
    limits = marks.scale(ends, marks.minimum(there) * 1.2 * factor(drawn.metric))
    extra = _extra(drawn, there)
    verdicts = [row.verdict for row in there]
    head = marks.legend_height(marks.legend_words(verdicts, extra), _WIDTH)
    own_labels = len(sides) > 1 and any(one.order != sides[0].order for one in sides)
    body = max(one.size() for one in sides)
    with canvas(_WIDTH, head + _TOP + body + _BOTTOM) as drawing:
        marks.legend(panel(drawing, (0, 0, _WIDTH, head), "legend"), verdicts, extra)
        boxes = _boxes(len(sides), own_labels=own_labels)
        for at, (one, (left, width)) in enumerate(zip(sides, boxes, strict=True)):
            axes = panel(drawing, (left, head + _TOP, width, one.size()), f"panel-{at}")
            _panel(axes, one, drawn, limits, others)
            if own_labels or at == 0:
                _labels(axes, one, drawn)
        tips = {name: texts for one in sides for name, texts in one.tips.items()}
        return finish(
            drawing,
            stem,
            title,
            _alt(drawn, there, title),
            tips=tips,
            note="" if fold else _note(drawn, sides, rows),
            fold=fold,
        )


def _boxes(count: int, *, own_labels: bool) -> list[tuple[float, float]]:
    """Return left and width of each panel."""
    room = _WIDTH - _LABEL * (count if own_labels else 1) - _GAP * (2 * count)
    width = min(room / count, 620)
    step = width + 2 * _GAP + (_LABEL if own_labels else 0)
    return [(_LABEL + _GAP + at * step, width) for at in range(count)]


def _panel(
    axes: Axes,
    one: _Side,
    drawn: Drawn,
    limits: marks.Scale,
    others: Mapping[str, Sequence[float]],
) -> None:
    axes.set_ylim(one.size(), 0)
    axes.set_yticks([])
    marks.difference_axis(axes, drawn.metric, limits)
    axes.set_title(f"{side_title(one.name)}: Δ {unit(drawn.metric)}", fontsize=11.5, weight="bold")
    places = one.places()
    own = [(row, places[key]) for key in one.order if (row := one.rows.get(key))]
    there = [(row, y) for row, y in own if row.delta is not None]
    marks.band(axes, drawn.metric, marks.minimum(row for row, _ in there))
    for row, y in own:
        if row.delta is None:
            axes.text(0, y, view.WORDS[row.verdict], ha="center", va="center_baseline",
                      fontsize=marks.SMALL, color=COLOURS["mut"],
                      bbox={"facecolor": COLOURS["bg"], "edgecolor": "none", "pad": 1})  # fmt: skip
    _others_of(axes, there, limits, others, one.name)
    _intervals(axes, there, limits, one.name)
    on = [(r, y) for r, y in there if limits.holds(marks.shown(r, "delta") or 0.0)]
    values = [marks.shown(row, "delta") or 0.0 for row, _ in on]
    found = marks.points(axes, [r for r, _ in on], values, [y for _, y in on], f"mark:{one.name}")
    for name, ats in found.items():
        one.tips[name] = [marks.tip(on[at][0], named(on[at][0])) for at in ats]
    if one.between:
        _strip(axes, one, limits)


def _intervals(
    axes: Axes, there: Sequence[tuple[Comparison, float]], limits: marks.Scale, name: str
) -> None:
    """Draw both intervals; what leaves the scale ends in an arrow with its number."""
    roles = {"regressed": "down", "improved": "up"}
    for role in ("mut", "down", "up"):
        own = [(r, y) for r, y in there if roles.get(r.verdict, "mut") == role]
        for kind, width, ends in (
            ("thin", 1.0, ("simultaneous_ci_low", "simultaneous_ci_high")),
            ("thick", 2.8, ("ci_low", "ci_high")),
        ):
            drawn = []
            for row, y in own:
                low, high = (marks.shown(row, end) for end in ends)
                if low is None or high is None:
                    continue
                if high >= limits.low and low <= limits.high:
                    drawn.append((limits.cut(low), limits.cut(high), y))
            marks.bars(axes, drawn, f"{kind}:{name}:{role}", width, role)
        off = [end for row, y in own for end in _beyond(row, y, limits)]
        marks.off_scale(axes, off, limits, role, f"{name}:{role}")


def _beyond(row: Comparison, y: float, limits: marks.Scale) -> list[tuple[float, float]]:
    """Return what of a row is off the scale: its difference, else each end of its intervals."""
    delta = marks.shown(row, "delta") or 0.0
    if not limits.holds(delta):
        return [(delta, y)]
    lows = marks.numbers([row], "ci_low", "simultaneous_ci_low")
    highs = marks.numbers([row], "ci_high", "simultaneous_ci_high")
    ends = [*([min(lows)] if lows else []), *([max(highs)] if highs else [])]
    return [(end, y) for end in ends if not limits.holds(end)]


def _others(drawn: Drawn) -> dict[str, list[float]]:
    """Return the candidate's differences from the further baselines, by task."""
    table = drawn.lines.get(drawn.metric, ())
    return {line.row.task: marks.numbers(filter(None, line.others), "delta") for line in table}


def _others_of(
    axes: Axes,
    there: Sequence[tuple[Comparison, float]],
    limits: marks.Scale,
    others: Mapping[str, Sequence[float]],
    name: str,
) -> None:
    """Draw the differences from the further baselines, the range that they span where many."""
    many = max((len(others.get(row.task, ())) for row, _ in there), default=0) > _TICKS
    if many:
        spans = [(min(o), max(o), y) for r, y in there if (o := others.get(r.task))]
        cut = [(limits.cut(a), limits.cut(b), y) for a, b, y in spans]
        marks.bars(axes, [one for one in cut if one[0] != one[1]], f"others:{name}", 7, "line")
        off = [(end, y) for low, high, y in spans for end in (low, high)]
    else:
        found = [(v, y) for row, y in there for v in others.get(row.task, ())]
        on = [(v, y) for v, y in found if limits.holds(v)]
        if on:
            x, ys = zip(*on, strict=True)
            (ticks,) = axes.plot(x, ys, linestyle="none", marker="|", markersize=8, clip_on=False)
            ticks.set(markeredgecolor=COLOURS["mut"], gid=mark(f"others:{name}"), zorder=2)
        off = found
    taken = {y for row, y in there if _beyond(row, y, limits)}
    marks.off_scale(axes, _one_a_side(off, limits, taken), limits, "mut", f"others:{name}")


def _one_a_side(
    found: Sequence[tuple[float, float]], limits: marks.Scale, taken: set[float]
) -> list[tuple[float, float]]:
    """Keep of what is off the scale the farthest of each row and side, where there is room."""
    kept: dict[tuple[float, bool], float] = {}
    for value, y in found:
        if not limits.holds(value) and y not in taken:
            before = kept.get((y, value > 0), 0.0)
            kept[y, value > 0] = value if abs(value) > abs(before) else before
    return [(value, y) for (y, _), value in kept.items()]


def _strip(axes: Axes, one: _Side, limits: marks.Scale) -> None:
    """Draw the rows between the ends as ticks in one strip."""
    top, low = ENDS * one.height + 20, ENDS * one.height + _STRIP - 10
    axes.axhspan(top, low, color=COLOURS["band"], linewidth=0, zorder=0.4)
    verdicts = [row.verdict for row in one.between]
    counts = [f"{sign} {verdicts.count(v)}" for v, sign in MARKS.items() if v in verdicts]
    words = f"{len(one.between)} between, a tick each: {', '.join(counts)}"
    axes.text(0.5, top - 9, words, transform=axes.get_yaxis_transform(), ha="center",
              va="center_baseline", fontsize=marks.SMALL, color=COLOURS["mut"])  # fmt: skip
    roles = {"regressed": "down", "leans_down": "down", "improved": "up", "leans_up": "up"}
    for role in ("mut", "down", "up"):
        own = [r for r in one.between if roles.get(r.verdict, "mut") == role]
        values = [v for v in marks.numbers(own, "delta") if limits.holds(v)]
        if values:
            ticks = axes.vlines(values, top, low, color=COLOURS[role], linewidth=1, clip_on=False)
            ticks.set_gid(mark(f"strip:{one.name}:{role}"))
        off = [(v, (top + low) / 2) for v in marks.numbers(own, "delta")]
        marks.off_scale(axes, off, limits, role, f"strip:{one.name}:{role}")


def _labels(axes: Axes, one: _Side, drawn: Drawn) -> None:
    """Write what each row is about, left of the panel, as a link to its row of the table."""
    names = labels(key for key in one.order)
    for key, y in one.places().items():
        row = one.rows.get(key)
        target = drawn.row_ids.get(row.task) if row else None
        other = group_of(row.src_lang, row.tgt_lang) == "other" if row else False
        text, code = (named(row), "") if row and other else (names[key], short(key, 9))
        size = 10 if one.height < 16 else 11
        for words, reach, role in ((text, 62 if code else 0, "fg"), (code, 0, "mut")):
            if words:
                axes.annotate(
                    placing.fit(words, size, _LABEL - reach),
                    (0, y),
                    xycoords=axes.get_yaxis_transform(),
                    xytext=(-_GAP - reach, 0),
                    textcoords="offset points",
                    ha="right",
                    va="center_baseline",
                    fontsize=size,
                    color=COLOURS[role],
                    annotation_clip=False,
                    url=f"#{target}" if target and role == "fg" else None,
                )


def _extra(drawn: Drawn, there: Sequence[Comparison]) -> list[tuple[str, str]]:
    extra = [("thick", "95 % interval"), ("thin", "simultaneous interval")]
    if effect := marks.minimum(there):
        extra.append(("band", f"± {view.effect(drawn.metric, effect)}, too small to matter"))
    further = len(drawn.names) - 2
    if further > _TICKS:
        extra.append(("range", f"range against the {further} other baselines"))
    elif further > 0:
        extra.append(("tick", f"against {listed([short(n, 20) for n in drawn.names[2:]])}"))
    return extra


def _alt(drawn: Drawn, there: Sequence[Comparison], title: str) -> str:
    ordered = sorted(there, key=lambda r: view.sign(drawn.metric) * (r.delta or 0.0))
    worst, best = (
        f"{named(row)} ({signed(marks.shown(row, 'delta') or 0.0)})"
        for row in (ordered[0], ordered[-1])
    )
    return (
        f"Dot plot, {title}: differences in {unit(drawn.metric)} of {short(drawn.names[0])} from "
        f"{short(drawn.names[1])} in {plural(len(there), 'direction')}: "
        f"{counted(there)}. Worst is {worst}, best is {best}."
    )


def _note(drawn: Drawn, sides: Sequence[_Side], rows: Sequence[Comparison]) -> str:
    said = [
        f"{short(drawn.names[0])} against {short(drawn.names[1])}; worst first, worse is left. "
        "A thick bar is one direction's 95 % interval, a thin one holds for all tests together; "
        "filled triangles pass Holm's correction."
    ]
    shared = len(sides) > 1 and all(one.order == sides[0].order for one in sides)
    if shared:
        said.append("Both panels keep the order of the left one.")
    if any(one.between for one in sides):
        said.append(f"Of each panel the {ENDS} worst and the {ENDS} best are drawn in rows.")
    drawn_ = {key for one in sides for key in one.order}
    lost = [named(r) for r in rows if r.delta is None and about(r) not in drawn_]
    absent = [r for r in drawn.rows if r.delta is None and side(r)[1] in {s.name for s in sides}]
    if lost or absent:
        names = sorted({named(row) for row in absent if row.family == rows[0].family})
        if names:
            said.append(f"Without a difference, the table says why: {listed(names)}.")
    said.append("An arrow at the edge, with its number, is beyond the scale.")
    return " ".join(said)
