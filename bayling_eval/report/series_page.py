"""A measured series becomes a folder: page, figures, ``report.json`` and a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayling_eval import sources
from bayling_eval.compare import MARKS
from bayling_eval.gate.words import listed
from bayling_eval.macro import Grouping
from bayling_eval.report import render, view
from bayling_eval.report.document import write as write_files
from bayling_eval.report.falls import WORDS, Curve, Fall, Point
from bayling_eval.report.figures import curves, drawn
from bayling_eval.report.figures.curves import Axis, Course
from bayling_eval.report.figures.svg import Figure
from bayling_eval.report.series import Found, document, provenance, table
from bayling_eval.report.texts import ids

_MARKS: Mapping[Fall, str] = {
    "falling": MARKS["regressed"],
    "below_minimum_effect": MARKS["below_minimum_effect"],
    "not_shown": MARKS["no_change"],
    "best": "●",
    "missing": MARKS["missing"],
}
# A small panel is 3 kB: these are drawn, the table has all.
_LARGEST, _MOST = 12, 48
_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Row:
    """One line of the table of tasks."""

    id: str
    """Its anchor."""
    curve: Curve
    """What it is of."""
    source: view.Tongue | None
    """Source language; none where the task is no translation."""
    target: view.Tongue
    """Target language, or the language of the task."""
    best: Point | None
    """The best step."""
    last: Point
    """The last step."""
    gone: tuple[Point, ...]
    """Steps without a score."""
    spark: curves.Spark
    """Its curve."""

    @property
    def search(self) -> str:
        """What the row is found by."""
        both = [one for one in (self.source, self.target) if one]
        own = [text for one in both for text in (one.name, one.key, one.autonym, one.searched)]
        return " ".join(dict.fromkeys([*filter(None, own), self.curve.group]))


@dataclass(frozen=True)
class Block:
    """What the page has of one metric."""

    metric: str
    """Its name."""
    told: tuple[tuple[str, Curve], ...]
    """The groups that are told first, in words."""
    asked: tuple[tuple[str, Curve], ...]
    """The groups that were asked for."""
    figures: tuple[Figure, ...]
    """A curve for each group that is told first."""
    more: tuple[Figure, ...]
    """A curve for each group that was asked for."""
    losses: tuple[Figure, ...]
    """Small panels of the tasks that lost most, where any lost."""
    rows: tuple[Row, ...]
    """The tasks, largest loss first."""

    @property
    def drawn(self) -> tuple[Figure, ...]:
        """All its figures."""
        return (*self.figures, *self.more, *self.losses)


def write(name: str, found: Found, command: str, reports: Path) -> Path:
    """Write the report ``name`` of a series and return the path of its page.

    The same results give the same bytes. ``command`` is the command line that makes it again.
    """
    told = provenance(found, command)
    text, figures = page(name, found, told)
    files = {
        f"figures/{figure.name}.{kind}": content
        for figure in figures
        for kind, content in figure.files.items()
    }
    files["tables/series.csv"] = table(found)
    files["report.json"] = document(name, found, told)
    # Last: where writing was cut off, no page speaks of other numbers than the files beside it.
    files["index.html"] = text.encode("utf-8", "replace")
    write_files(reports / name, files)
    return reports / name / "index.html"


def page(name: str, found: Found, told: Mapping[str, Any]) -> tuple[str, list[Figure]]:
    """Return the page of a series as HTML, and its figures, which stand beside it as files."""
    blocks = [_block(found, metric, number) for number, metric in enumerate(found.metrics)]
    families = {curve.family for curve in found.tasks}
    text = render.standalone(
        "series.html.jinja",
        name=name,
        found=found,
        series=found.order.series,
        systems=found.order.systems,
        blocks=blocks,
        told=told,
        fall_marks=_MARKS,
        fall_words=WORDS,
        at=_at(found),
        gaps=_gaps(found),
        settings=_settings(found),
        notices=sources.notices(families),
    )
    return text, [figure for block in blocks for figure in block.drawn]


def _at(found: Found) -> dict[int, str]:
    """Return what each step is called."""
    return {s: f"step {s:,}" for s in (one.model.step or 0 for one in found.order.systems)}


def _settings(found: Found) -> list[tuple[tuple[str, ...], list[str]]]:
    """Return each way in which settings differ from the reference's, with who has it."""
    who: dict[tuple[str, ...], list[str]] = {}
    for name, diff in found.settings_diff.items():
        who.setdefault(tuple(diff), []).append(name)
    return list(who.items())


def _gaps(found: Found) -> list[tuple[str, str, str]]:
    """Return what has no value: groups or tasks, step and reason, those alike together."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    at = _at(found)
    for curve in (*found.groups, *found.tasks):
        for point in curve.points:
            if point.value is None and point.reason:
                why = f"{view.title(curve.metric)}: {point.reason}"
                kind = "group" if curve.by != "task" else view.noun(curve.metric)
                alike.setdefault((kind, at[point.step], why), []).append(_called(curve))
    return [
        (names[0] if len(names) == 1 else f"{len(names)} {kind}s ({listed(names, 5)})", step, why)
        for (kind, step, why), names in alike.items()
    ]


def _block(found: Found, metric: str, number: int) -> Block:
    groups = [(_called(c), c) for c in found.groups if c.metric == metric and not _again(c, found)]
    tasks = [curve for curve in found.tasks if curve.metric == metric]
    usual = Grouping().by
    axis = _axis(found)
    anchors = ids(f"m{number}", [curve.group for curve in tasks])
    return Block(
        metric,
        tuple(one for one in groups if one[1].by in usual),
        tuple(one for one in groups if one[1].by not in usual),
        tuple(
            _figure(found, w, c, axis)
            for w, c in groups
            if c.best_step is not None and c.by in usual
        ),
        tuple(
            _figure(found, w, c, axis)
            for w, c in groups
            if c.best_step is not None and c.by not in usual
        ),
        tuple(_losses(found, metric, tasks, axis)),
        tuple(_row(found, curve, id_) for curve, id_ in zip(tasks, anchors, strict=True)),
    )


def _again(curve: Curve, found: Found) -> bool:
    """Return whether a side is all of its family: it would only repeat it."""
    return curve.by == "side" and any(
        (one.by, one.family, one.metric, one.n_expected)
        == ("suite", curve.family, curve.metric, curve.n_expected)
        for one in found.groups
    )


def _called(curve: Curve) -> str:
    """Return what a group or a task is called, in words."""
    if curve.by == "task":
        name = view.name_of(curve)
        return f"{curve.family} {name}" if curve.src_lang and curve.tgt_lang else name
    rest = curve.group.removeprefix(f"{curve.family} ")
    if rest == "all":
        return f"{curve.family}, all {view.noun(curve.metric)}s"
    side, _, label = rest.partition(f"{curve.by}:")
    words = drawn.side_title(side.strip()) if side.strip() else ""
    more = f"{curve.by} {label}" if label else ""
    return f"{curve.family} {', '.join(filter(None, [words, more]))}"


def _axis(found: Found) -> Axis:
    if found.x == "tokens":
        named = [
            (one.model.tokens or 0, _count(one.model.tokens or 0)) for one in found.order.systems
        ]
        return Axis("training tokens", tuple((float(place), text) for place, text in named))
    steps = [one.model.step or 0 for one in found.order.systems]
    return Axis("training step", tuple((float(step), f"{step:,}") for step in steps))


def _count(number: int) -> str:
    """Return a number of tokens in short: ``1.5B``."""
    size, letter = next(((s, u) for s, u in _UNITS if number >= s), (1.0, ""))
    return f"{number / size:.3g}{letter}"


def _course(found: Found, curve: Curve, title: str) -> Course:
    """Return a curve as it is drawn."""
    at, levels = _at(found), curve.by == "task"
    steps = [point.step for point in curve.points]
    tips = []
    for point in curve.points:
        value = view.number(point.value, curve.metric, signed=not levels)
        reach = view.interval(point.ci_low, point.ci_high, curve.metric)
        reach = reach.replace("+", "").replace(" pp", " %") if levels else reach
        tips.append(
            f"{at[point.step]}: missing, {point.reason or curve.reason}"
            if point.value is None
            else f"{at[point.step]}: {value} {reach}"
        )
    places = [p.tokens if found.x == "tokens" else p.step for p in curve.points]
    return Course(
        title,
        tuple(float(place or 0) for place in places),
        tuple(point.value for point in curve.points),
        tuple(point.ci_low for point in curve.points),
        tuple(point.ci_high for point in curve.points),
        tuple(tips),
        None if curve.best_step is None else steps.index(curve.best_step),
        curve.verdict == "falling",
    )


def _figure(found: Found, words: str, curve: Curve, axis: Axis) -> Figure:
    """Draw the mean differences of a group."""
    at, metric = _at(found), view.title(curve.metric)
    base = found.order.base
    one = _course(found, curve, f"{words}: {drawn.unit(curve.metric)}")
    span = " to ".join(view.number(v, curve.metric, signed=True) for v in _ends(curve))
    return curves.course(
        drawn.safe("curve", curve.metric, curve.group),
        one,
        curve.metric,
        axis,
        alt=f"Mean difference in {metric} from {base.name} over {len(curve.points)} checkpoints, "
        f"from {span}. Best at {at[curve.best_step or 0]}. {WORDS[curve.verdict].capitalize()}.",
        note=f"Over the {curve.n} of {curve.n_expected} {view.noun(curve.metric)}s that the steps "
        "drawn share.",
        header=("Step", f"Mean Δ {metric}", "95 % interval"),
        rows=tuple(_numbers(found, curve)),
    )


def _ends(curve: Curve) -> tuple[float, float]:
    values = [point.value for point in curve.points if point.value is not None]
    return min(values), max(values)


def _numbers(found: Found, curve: Curve) -> list[tuple[str, ...]]:
    at = _at(found)
    return [
        (
            at[point.step],
            view.number(point.value, curve.metric, signed=True)
            if point.value is not None
            else f"missing: {point.reason}",
            view.interval(point.ci_low, point.ci_high, curve.metric),
        )
        for point in curve.points
    ]


def _losses(found: Found, metric: str, tasks: Sequence[Curve], axis: Axis) -> list[Figure]:
    """Draw the tasks that lost most, and all whose loss is confirmed, as far as there is room."""
    lost = [curve for curve in tasks if curve.loss]
    chosen = [c for rank, c in enumerate(lost) if rank < _LARGEST or c.verdict == "falling"]
    kept, sure = chosen[:_MOST], sum(c.verdict == "falling" for c in chosen)
    if not kept:
        return []
    many = []
    for curve in kept:
        loss = view.number(curve.loss, metric, signed=True)
        title = f"{_MARKS[curve.verdict]} {loss} {view.name_of(curve)}"
        many.append(_course(found, curve, title))
    title = view.title(metric)
    more = f" {len(chosen) - len(kept)} more are in the table." if len(chosen) > len(kept) else ""
    noun = view.noun(metric)
    return [
        curves.multiples(
            drawn.safe("losses", metric),
            f"{title}: the largest losses since the best step",
            many,
            metric,
            axis,
            levels=True,
            alt=f"Scores of the {len(kept)} {noun}s that lost most since their best step, over "
            f"{len(axis.ticks)} checkpoints; {sure} of the losses are confirmed.",
            note="Scores, each panel on a scale of its own, with 95 % intervals: the "
            f"{_LARGEST} largest losses, and all that are confirmed (▼).{more} Two intervals may "
            "overlap where the loss is confirmed: two steps are compared on the same segments.",
        )
    ]


def _row(found: Found, curve: Curve, anchor: str) -> Row:
    by_step = {point.step: point for point in curve.points}
    target = view.tongue(curve.tgt_lang or curve.lang)
    return Row(
        anchor,
        curve,
        view.tongue(curve.src_lang),
        target or view.Tongue(curve.group, curve.group),
        None if curve.best_step is None else by_step[curve.best_step],
        curve.points[-1],
        tuple(point for point in curve.points if point.value is None),
        curves.spark(_course(found, curve, "")),
    )
