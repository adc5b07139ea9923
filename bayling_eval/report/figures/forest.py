"""Means of groups with both intervals; of groups too small for a mean, their members as marks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from bayling_eval.macro import MIN_GROUP
from bayling_eval.records import Comparison, MacroRow
from bayling_eval.report import view
from bayling_eval.report.figures import marks, placing
from bayling_eval.report.figures.drawn import (
    Drawn,
    counted,
    factor,
    listed,
    named,
    plural,
    safe,
    short,
    side_title,
    unit,
)
from bayling_eval.report.figures.svg import COLOURS, FONT_SIZE, Figure, canvas, finish, mark, panel

_WIDTH, _LABEL, _GAP, _NUMBERS = 1120, 330, 40, 280
_ROW, _HEAD, _FOOT = 21, 30, 44
# Systems with which each pair has its own row in each group; more and most pairs have one row.
_FEW = 5
_MOST = 60
_SIDES = ("suite", "side")
_KINDS = {"language-family": "Language family", "script": "Script", "speakers": "Speakers"}
_EXTRA = (
    ("mean", "mean difference"),
    ("thick", "95 %, these languages"),
    ("thin", "95 %, languages like these"),
)


@dataclass(frozen=True)
class Entry:
    """One row of a forest."""

    label: str
    macro: MacroRow
    against: str = ""
    """Baseline, where it is not said elsewhere."""
    members: tuple[Comparison, ...] = ()
    """Rows of a group that is too small for a mean."""


@dataclass(frozen=True)
class Block:
    """Rows with one axis."""

    title: str
    metric: str
    entries: tuple[Entry, ...]
    against: str = ""
    """Baseline of entries that do not say theirs."""


def overview(drawn: Drawn) -> list[Figure]:
    """Return the forest of benchmarks and sides, each unit in a block of its own."""
    blocks = [block for metric in drawn.lines for block in _overview_blocks(drawn, metric)]
    if not any(entry.macro.n for block in blocks for entry in block.entries):
        return []
    note = (
        "A thick bar is the 95 % interval for these languages, a thin one for languages like "
        f"these; groups of fewer than {MIN_GROUP} show their members as marks and have no mean."
    )
    if len(drawn.names) > _FEW:
        note += f" Against all but {short(drawn.names[1])} only whole benchmarks are drawn."
    if cut := [short(view.title(m)) for m in drawn.lines if not _groups_drawn(drawn, m)[1]]:
        note += f" Sides in {listed(cut)} would be over {_MOST} rows: the table has them."
    title = f"Mean differences of {short(drawn.names[0])}"
    return [_figure("overview", title, blocks, note)]


def groups(drawn: Drawn) -> list[Figure]:
    """Return for each benchmark and side a forest of families, scripts and bands of speakers."""
    found: dict[str, dict[str, list[MacroRow]]] = {}
    for macro in drawn.pairs[0].macro:
        if macro.metric == drawn.metric and macro.tasks == "pair" and macro.by in _KINDS:
            where = macro.group.rsplit(f" {macro.by}:", 1)[0]
            found.setdefault(where, {}).setdefault(macro.by, []).append(macro)
    made = []
    for where, kinds in found.items():
        if not any(macro.delta is not None for own in kinds.values() for macro in own):
            continue
        blocks = [_groups_block(drawn, by, own) for by, own in kinds.items()]
        note = (
            f"{short(drawn.names[0])} against {short(drawn.names[1])}. Groups of fewer than "
            f"{MIN_GROUP} show their members as marks: no mean."
        )
        title = f"Groups of {_where(where)}"
        made.append(
            _figure(safe("groups", where.replace(" ", "-")), title, blocks, note, told=True)
        )
    return made


def _overview_blocks(drawn: Drawn, metric: str) -> list[Block]:
    by_pair = [_means(drawn, metric, at) for at in range(len(drawn.pairs))]
    rows = [_by_task(drawn, at) for at in range(len(drawn.pairs))]
    names, _ = _groups_drawn(drawn, metric)
    few = len(drawn.names) <= _FEW

    def entries(at: int, kinds: Sequence[str], *, told: bool = True) -> list[Entry]:
        against = short(drawn.names[at + 1]) if told else ""
        return [
            Entry(_where(m.group), m, against, _members(m, rows[at]))
            for m in by_pair[at]
            if (m.by, m.group) in names and m.by in kinds
        ]

    title = f"Δ {unit(metric)}"
    single = len(by_pair) == 1
    if few and not single:
        every = [entry for at in range(len(by_pair)) for entry in entries(at, _SIDES)]
        every.sort(key=lambda one: names.index((one.macro.by, one.macro.group)))
        return [Block(title, metric, tuple(every))] if every else []
    first = entries(0, _SIDES, told=False)
    rest = [entry for at in range(1, len(by_pair)) for entry in entries(at, ("suite",))]
    made = [(f"{title}, against {short(drawn.names[1])}", first)]
    made.append((f"{title}, against the others", rest))
    against = short(drawn.names[1])
    return [Block(text, metric, tuple(own), against) for text, own in made if own]


def _means(drawn: Drawn, metric: str, at: int) -> list[MacroRow]:
    """Return the means of benchmarks and sides against one baseline."""
    found = drawn.pairs[at].macro
    return [m for m in found if m.metric == metric and m.tasks == "pair" and m.by in _SIDES]


def _groups_drawn(drawn: Drawn, metric: str) -> tuple[list[tuple[str, str]], bool]:
    """Return which groups the overview draws, and whether these are all."""
    pairs = range(len(drawn.pairs))
    names = list(dict.fromkeys((m.by, m.group) for at in pairs for m in _means(drawn, metric, at)))
    if len(names) * (len(pairs) if len(drawn.names) <= _FEW else 1) <= _MOST:
        return names, True
    return [key for key in names if key[0] == "suite"], False


def _by_task(drawn: Drawn, at: int) -> dict[tuple[str, str], Comparison]:
    return {(row.task, row.metric): row for row in drawn.pairs[at].rows}


def _members(macro: MacroRow, rows: Mapping[tuple[str, str], Comparison]) -> tuple[Comparison, ...]:
    found = (rows.get((task, macro.metric)) for task in macro.members)
    return tuple(row for row in found if row and row.delta is not None)


def _groups_block(drawn: Drawn, by: str, own: Sequence[MacroRow]) -> Block:
    """Return a block of one grouping: groups with a mean, then the small ones, many as one row."""
    rows = _by_task(drawn, 0)
    large = [m for m in own if m.delta is not None]
    small = [m for m in own if m.delta is None and m.n]
    sign = view.sign(drawn.metric)
    large.sort(key=lambda m: sign * (m.delta or 0.0))
    entries = [Entry(_group(m), m) for m in large]
    if len(small) > 8:
        members = tuple(row for m in small for row in _members(m, rows))
        n, expected = sum(m.n for m in small), sum(m.n_expected for m in small)
        pooled = small[0].model_copy(update={"n": n, "n_expected": expected})
        entries.append(Entry(f"{len(small)} smaller groups", pooled, members=members))
    else:
        entries += [Entry(_group(m), m, members=_members(m, rows)) for m in small]
    return Block(_KINDS[by], drawn.metric, tuple(entries), short(drawn.names[1]))


def _group(macro: MacroRow) -> str:
    return short(macro.group.rsplit(f" {macro.by}:", 1)[-1])


def _where(group: str) -> str:
    """Return a benchmark and side in words: ``flores200, English → X``."""
    family, _, name = group.partition(" ")
    if not name or name == "all":
        return f"{short(family)}, all" if name else short(family)
    return f"{short(family)}, {side_title(name)}"


def _figure(
    name: str, title: str, blocks: Sequence[Block], note: str, *, told: bool = False
) -> Figure:
    shared = {block.metric: _scale([b for b in blocks if b.metric == block.metric], told=told)
              for block in blocks}  # fmt: skip
    verdicts = [row.verdict for b in blocks for e in b.entries for row in e.members]
    head = marks.legend_height(marks.legend_words(verdicts, _EXTRA), _WIDTH)
    body = sum(_HEAD + len(block.entries) * _ROW + _FOOT for block in blocks)
    tips: dict[str, list[str]] = {}
    with canvas(_WIDTH, head + body) as drawing:
        marks.legend(panel(drawing, (0, 0, _WIDTH, head), "legend"), verdicts, _EXTRA)
        top = head
        for at, block in enumerate(blocks):
            height = len(block.entries) * _ROW
            width = _WIDTH - _LABEL - _NUMBERS - 2 * _GAP
            axes = panel(drawing, (_LABEL + _GAP, top + _HEAD, width, height), f"panel-{at}")
            limits = shared[block.metric] if told else _scale([block], told=False)
            tips |= _block(axes, block, limits, at)
            top += _HEAD + height + _FOOT
        alt = _alt(blocks, title)
        table = _table(blocks) if told else ((), ())
        return finish(
            drawing, name, title, alt, tips=tips, note=note, header=table[0], rows=table[1]
        )


def _scale(blocks: Sequence[Block], *, told: bool) -> marks.Scale:
    """Return the scale of blocks of one metric: every mean with its interval is on it.

    Ends of wide intervals and members may be beyond it.
    """

    def of(*fields: str) -> list[float]:
        return [
            value * factor(block.metric)
            for block in blocks
            for entry in block.entries
            for field in fields
            if (value := getattr(entry.macro, field)) is not None
        ]

    means = of("delta", "ci_low", "ci_high")
    members = [row for b in blocks for e in b.entries for row in e.members]
    wide = [*of("population_ci_low", "population_ci_high"), *marks.numbers(members, "delta")]
    return marks.scale([*means, *wide]).with_room(means)


def _block(axes: Axes, block: Block, limits: marks.Scale, at: int) -> dict[str, list[str]]:
    """Draw one block; return what its members say under the pointer."""
    axes.set_ylim(len(block.entries), 0)
    axes.set_yticks([])
    marks.difference_axis(axes, block.metric, limits)
    axes.annotate(block.title, (0, 1), xycoords="axes fraction", xytext=(-_LABEL - _GAP + 8, 10),
                  textcoords="offset points", weight="bold", fontsize=11.5)  # fmt: skip
    by = factor(block.metric)
    means = [(e.macro, y + 0.5) for y, e in enumerate(block.entries) if e.macro.delta is not None]
    for kind, width, low, high in (
        ("thin", 1.0, "population_ci_low", "population_ci_high"),
        ("thick", 3.2, "ci_low", "ci_high"),
    ):
        found = [(getattr(m, low), getattr(m, high), y) for m, y in means]
        ends = [(a * by, b * by, y) for a, b, y in found if a is not None and b is not None]
        on = [(limits.cut(a), limits.cut(b), y) for a, b, y in ends]
        marks.bars(axes, on, f"{kind}:{at}", width, "mut")
        off = [(end, y) for a, b, y in ends for end in (a, b)]
        marks.off_scale(axes, off, limits, "mut", f"{kind}:{at}")
    on_scale = [((m.delta or 0.0) * by, y) for m, y in means]
    if dots := [(x, y) for x, y in on_scale if limits.holds(x)]:
        x, y = zip(*dots, strict=True)
        axes.plot(x, y, "s", markersize=7, color=COLOURS["fg"], clip_on=False, zorder=4,
                  gid=mark(f"mean:{at}"))  # fmt: skip
    for row, entry in enumerate(block.entries):
        _words(axes, block, entry, row + 0.5)
    return _member_marks(axes, block, limits, at)


def _member_marks(axes: Axes, block: Block, limits: marks.Scale, at: int) -> dict[str, list[str]]:
    own = [(row, y + 0.5) for y, e in enumerate(block.entries) for row in e.members]
    values = [marks.shown(row, "delta") or 0.0 for row, _ in own]
    on = [(row, v, y) for (row, y), v in zip(own, values, strict=True) if limits.holds(v)]
    rows = [row for row, _, _ in on]
    found = marks.points(axes, rows, [v for _, v, _ in on], [y for _, _, y in on], f"member:{at}")
    off = [(v, y) for (_, y), v in zip(own, values, strict=True)]
    marks.off_scale(axes, off, limits, "mut", f"member:{at}")
    return {
        name: [marks.tip(rows[one], named(rows[one])) for one in ats] for name, ats in found.items()
    }


def _words(axes: Axes, block: Block, entry: Entry, y: float) -> None:
    """Write what a row is, left, and its numbers, right."""
    text = f"{entry.label}, against {entry.against}" if entry.against else entry.label
    cells = [
        (0, -_GAP, "right", placing.fit(text, FONT_SIZE, _LABEL), "fg"),
        (1, _GAP, "left", _numbers(block, entry), "fg"),
        (1, _GAP + _NUMBERS - 8, "right", f"{entry.macro.n}/{entry.macro.n_expected}", "mut"),
    ]
    for edge, offset, side, words, role in cells:
        axes.annotate(
            words,
            (edge, y),
            xycoords=axes.get_yaxis_transform(),
            xytext=(offset, 0),
            textcoords="offset points",
            ha=side,
            va="center_baseline",
            color=COLOURS[role],
            annotation_clip=False,
        )


def _numbers(block: Block, entry: Entry) -> str:
    macro = entry.macro
    if macro.delta is None:
        return "no comparison" if not macro.n else "too few for a mean"
    delta = view.number(macro.delta, block.metric, signed=True)
    return f"{delta} {view.interval(macro.ci_low, macro.ci_high, block.metric)}"


def _alt(blocks: Sequence[Block], title: str) -> str:
    """Return the ends of each metric and baseline: of others they do not compare."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for block in blocks:
        for entry in block.entries:
            key = (block.metric, entry.against or block.against)
            found.setdefault(key, []).append(entry)
    count = sum(e.macro.delta is not None for own in found.values() for e in own)
    each = " each" if count > 1 else ""
    said = [f"Forest plot, {title}: {plural(count, 'mean')} with two intervals{each}."]
    for (metric, against), own in found.items():
        text = "; ".join(filter(None, (_ends(metric, own), _members_said(own))))
        if text:
            said.append(f"{short(view.title(metric))} against {against}: {text}.")
    return " ".join(said)


def _ends(metric: str, own: Sequence[Entry]) -> str:
    means = [(e.label, e.macro.delta) for e in own if e.macro.delta is not None]
    means.sort(key=lambda one: view.sign(metric) * one[1])
    told = [f"{label} ({_with_unit(delta, metric)})" for label, delta in means]
    if len(told) < 2:
        return "".join(told)
    return f"worst is {told[0]}, best is {told[-1]}"


def _with_unit(delta: float, metric: str) -> str:
    text = view.number(delta, metric, signed=True)
    return text if factor(metric) > 1 else f"{text} {short(view.title(metric))}"


def _members_said(own: Sequence[Entry]) -> str:
    """Say how tasks came out that are drawn one by one, each once whatever groups it is in."""
    rows = {row.task: row for entry in own for row in entry.members}
    return f"drawn one by one: {counted(rows.values())}" if rows else ""


def _table(blocks: Sequence[Block]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the numbers of groups, which stand in no other table of the page."""
    header = ("Group", "By", "n/N", "Mean Δ", "These languages", "Languages like these")
    rows = []
    for block in blocks:
        for entry in block.entries:
            m, metric = entry.macro, block.metric
            rows.append(
                (
                    entry.label,
                    block.title,
                    f"{m.n}/{m.n_expected}",
                    view.number(m.delta, metric, signed=True),
                    view.interval(m.ci_low, m.ci_high, metric) or "too few for a mean",
                    view.interval(m.population_ci_low, m.population_ci_high, metric) or "–",
                )
            )
    return header, tuple(rows)
