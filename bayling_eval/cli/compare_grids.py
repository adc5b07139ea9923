"""Systems by groups or by languages, as LaTeX: all held against one baseline.

Scores are never averaged: what stands under a group is a mean of differences to that baseline.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bayling_eval.cli import compare_texts as texts
from bayling_eval.cli import compare_view
from bayling_eval.cli.compare_options import Asked
from bayling_eval.cli.latex import Table, bold, escape, small
from bayling_eval.compare import MARKS, Comparisons
from bayling_eval.digits import places
from bayling_eval.macro import GROUPINGS, group_of, language_of
from bayling_eval.records import Comparison, Score
from bayling_eval.rows import status_rows
from bayling_eval.store import System

_BASELINE = 1
_UP, _DOWN = escape(MARKS["improved"]), escape(MARKS["regressed"])
TEST = "Paired approximate randomisation on corpus scores"
LEGEND = (
    rf"{_UP}, {_DOWN}: better, worse after Holm's correction; $\nearrow$, $\searrow$: after "
    r"Benjamini and Hochberg's at 10\,\% only; $\approx$: real, but under the minimum effect"
)
_GROUPS = (
    r"Below a mean: its 95\,\% interval for these languages; n/N, the tasks with a difference of "
    f"all; how many are better ({_UP}) and worse ({_DOWN}) after Holm's correction. Bold: the best "
    r"mean, significant or not, where all are over the same tasks. \textendash{}: fewer than five "
    "tasks, or a metric that is not averaged over languages"
)
_WEIGHTED = "Below a weighted mean: its interval, and the effective n of the tasks with a weight"
_LANGUAGES = (
    "Bold: the best score, significant or not, where all have the same references and signature. "
    r"n/c: not covered by the metric; \textendash{}: no score"
)


@dataclass(frozen=True)
class Held:
    """Systems held against one baseline under one metric."""

    found: Sequence[Comparisons]
    """Each other system against the baseline, the candidate first."""
    metric: str
    asked: Asked

    @cached_property
    def systems(self) -> list[System]:
        """The candidate, the baseline, and the others."""
        return [
            self.found[0].candidate,
            self.found[0].baseline,
            *(pair.candidate for pair in self.found[1:]),
        ]

    @cached_property
    def names(self) -> list[str]:
        """What the systems are called, in LaTeX."""
        return [escape(name) for name in texts.system_names(self.systems)]

    @cached_property
    def rows(self) -> list[dict[str, Comparison]]:
        """By system and task; the baseline is held against nothing."""
        made = [{r.task: r for r in p.rows if r.metric == self.metric} for p in self.found]
        return [made[0], {}, *made[1:]]

    @cached_property
    def tasks(self) -> dict[str, Comparison]:
        """One row a task, of whatever system, that says what the task is."""
        return {task: row for rows in self.rows for task, row in rows.items()}

    @cached_property
    def higher(self) -> bool:
        """Whether a higher score is better."""
        known = (one for pair in self.found for one in pair.differences if one.samples is not None)
        return all(one.higher_is_better for one in known if one.row.metric == self.metric)

    @cached_property
    def scores(self) -> list[dict[str, list[Score]]]:
        """By system and task: rows under the metric that stand, or that say it is not covered."""
        return [_scores(system, self.metric) for system in self.systems]

    def about(self, tasks: Iterable[str]) -> list[str]:
        """Return sentences for the caption of a table of these tasks: tests and signature."""
        tested = [list(rows.values()) for rows in self.rows if rows]
        ways = dict.fromkeys(texts.method_of(rows, self.asked.method) for rows in tested)
        families = dict.fromkeys(map(texts.family_of, tested))
        shown = [rows[task] for task in tasks for rows in self.rows if task in rows]
        return [
            f"{TEST}, each system against {self.names[_BASELINE]}",
            escape(f"{' or '.join(ways)}; one family of tests a system: {' or '.join(families)}"),
            settings(self.found),
            escape(f"Signature {texts.signature_of(shown)}"),
        ]

    def score(self, index: int, task: str) -> Score | None:
        """Return the score of a system that was compared; where none was, the first."""
        known = self.scores[index].get(task, [])
        pairs = self.rows if index == _BASELINE else [self.rows[index]]
        used = next((r[task].signature for r in pairs if task in r and r[task].signature), None)
        first = known[0] if known else None
        return next((one for one in known if one.signature == used), first)


@dataclass(frozen=True)
class _Mean:
    """One system in one group."""

    value: float | None
    below: tuple[str, str] = ("", "")
    """Lines under it."""
    over: frozenset[str] | None = None
    """Tasks that it is over; none of the baseline itself."""


def title(metric: str) -> str:
    """Return how a metric is written in a paper, in LaTeX."""
    # The page's templates take half a second to load, which other formats do without.
    from bayling_eval.report import view

    return escape(view.title(metric))


def sentences(*parts: str) -> str:
    """Return sentences one after the other."""
    return f"{'. '.join(part for part in parts if part)}."


def settings(found: Iterable[Comparisons]) -> str:
    """Return the sentence on settings that differ or are unknown; empty where none does."""
    diffs = compare_view.differing(found)
    return escape(f"Compared on outputs alone: {diffs}") if diffs else ""


def groups(held: Held) -> Table:
    """Return systems by groups: mean differences to the baseline."""
    every = texts.grouped(held.tasks.values(), held.asked.by)
    families = sorted({row.family for row in held.tasks.values()})
    blocks = {"pair": ""}
    if len({frozenset(_done(rows)) for rows in _others(held.rows)}) > 1:
        blocks["common"] = "over the tasks that all systems have"
    if held.asked.weights:
        blocks["weighted"] = f"weighted by {escape(held.asked.weights)}"
    rows: list[tuple[str, ...]] = []
    notes = {}
    for tasks, note in blocks.items():
        if note:
            notes[len(rows)] = rf"\emph{{{note}}}"
        rows += _block(held, list(every), tasks)
    heads = (g.removeprefix(f"{families[0]} ") if len(families) == 1 else g for _, g in every)
    what = f"{title(held.metric)}: mean difference to {held.names[_BASELINE]}, "
    return Table(
        ("system", *map(escape, heads)),
        tuple(rows),
        f"{what}{escape(', '.join(families))}",
        sentences(
            _GROUPS,
            _WEIGHTED if held.asked.weights else "",
            *held.about(held.tasks),
        ),
        f"{held.metric} groups {held.systems[0].name}",
        rules=frozenset(notes),
        gaps=frozenset(index for index, row in enumerate(rows) if index and row[0]),
        notes=notes,
    )


def languages(held: Held, *, across: bool) -> Iterator[Table]:
    """Return a table a side of translation: scores by language; ``across``: in columns."""
    sides: dict[str, list[Comparison]] = {}
    for row in held.tasks.values():
        sides.setdefault(GROUPINGS["side"](row) or row.family, []).append(row)
    for side, rows in sorted(sides.items()):
        noun, labelled = _labelled(rows)
        tasks = [task for _, task in labelled]
        lines = [(escape(label), *_line(held, task)) for label, task in labelled]
        table = [(noun, *held.names), *lines, *_foot(held, tasks)]
        if across:
            table = [("system", *table[0][1:]), *table[1:]]
            table = list(zip(*table, strict=True))
        marks = f"Marks beside a system: {LEGEND}; $x$: not comparable"
        yield Table(
            table[0],
            tuple(table[1:]),
            f"{title(held.metric)} by {noun}, {escape(side)}",
            sentences(_LANGUAGES, marks, *held.about(tasks)),
            f"{held.metric} {side} {held.systems[0].name}",
            rules=frozenset() if across else frozenset({len(lines)}),
        )


def _scores(system: System, metric: str) -> dict[str, list[Score]]:
    found: dict[str, list[Score]] = {}
    for row in (row for cell in system.cells() for row in status_rows(cell)):
        if row.metric == metric and row.status in ("ok", "not_covered"):
            found.setdefault(row.task, []).append(row)
    return found


def _others(of_systems: Sequence[dict[str, Comparison]]) -> list[dict[str, Comparison]]:
    return [rows for index, rows in enumerate(of_systems) if index != _BASELINE]


def _done(rows: dict[str, Comparison]) -> set[str]:
    return {task for task, row in rows.items() if row.delta is not None}


def _block(held: Held, keys: Sequence[tuple[str, str]], tasks: str) -> Iterator[tuple[str, ...]]:
    """Return the lines of each system: means with the best in bold, what stands under them."""
    columns = [[_mean(held, i, key, tasks) for i in range(len(held.names))] for key in keys]
    shown = [_values(held, column) for column in columns]
    for index, name in enumerate(held.names):
        yield (name, *(cells[index] for cells in shown))
        for place in (0, 1):
            below = [small(column[index].below[place]) for column in columns]
            if any(below):
                yield ("", *below)


def _mean(held: Held, index: int, key: tuple[str, str], tasks: str) -> _Mean:
    if index == _BASELINE:
        return _Mean(0.0)
    rows = texts.grouped(held.rows[index].values(), [key[0]]).get(key, [])
    if tasks == "common":
        shared = set.intersection(*map(_done, _others(held.rows)))
        rows = [row for row in rows if row.task in shared]
    pair = held.found[max(0, index - 1)]
    means = {m.tasks: m for m in pair.macro if (m.metric, m.by, m.group) == (held.metric, *key)}
    # A system that has just the tasks that all have gets no second row.
    mean = means.get("common" if tasks == "common" else "pair") or means.get("pair")
    over = frozenset(row.task for row in rows if row.delta is not None)
    if tasks == "weighted":
        if mean is None or mean.weighted_delta is None or mean.effective_n is None:
            return _Mean(None)
        ends = (mean.weighted_ci_low, mean.weighted_ci_high)
        below = f"{mean.effective_n:.1f} of {mean.n_weighted}"
        interval = texts.interval_text(held.metric, *ends)
        return _Mean(mean.weighted_delta, (escape(interval), below), over)
    if not rows:
        return _Mean(None)
    verdicts = Counter(row.verdict for row in rows)
    counts = f"{len(over)}/{len(rows)} {verdicts['improved']}{_UP} {verdicts['regressed']}{_DOWN}"
    if mean is None or mean.delta is None:
        return _Mean(None, ("", counts), over)
    interval = texts.interval_text(held.metric, mean.ci_low, mean.ci_high)
    return _Mean(mean.delta, (escape(interval), counts), over)


def _values(held: Held, column: Sequence[_Mean]) -> list[str]:
    """Return the means of a group, the best in bold where all are over the same tasks."""
    known = [mean for mean in column if mean.value is not None]
    # The baseline's nothing says nothing where no other system has a mean.
    values = [mean.value if len(known) > 1 else None for mean in column]
    shown = [texts.mean_text(held.metric, value) for value in values]
    fair = len({mean.over for mean in known if mean.over is not None}) == 1
    return _bold(shown, [fair and value is not None for value in values], held.higher)


def _bold(cells: Sequence[str], judged: Sequence[bool], higher: bool) -> list[str]:
    """Return escaped cells, the best of those that are judged in bold, ties together."""
    values = [float(text) for text, one in zip(cells, judged, strict=True) if one]
    best = (max(values) if higher else min(values)) if len(values) > 1 else None
    return [
        bold(escape(text)) if one and float(text) == best else escape(text)
        for text, one in zip(cells, judged, strict=True)
    ]


def _labelled(rows: Iterable[Comparison]) -> tuple[str, list[tuple[str, str]]]:
    """Return what rows are called, and a text and its task for each, in order of the text.

    That is the language beside a pivot, the pair where there is none, or the task's name where
    several have one language.
    """
    named, noun = {}, "language"
    for row in rows:
        named[row.task] = language_of(row) or row.task
        if row.tgt_lang and group_of(row.src_lang, row.tgt_lang) == "other":
            named[row.task], noun = f"{row.src_lang}-{row.tgt_lang}", "direction"
    if len(set(named.values())) < len(named):
        named, noun = {task: task for task in named}, "task"
    return noun, sorted((label, task) for task, label in named.items())


def _line(held: Held, task: str) -> list[str]:
    """Return the scores of one task, the best in bold, with marks against the baseline."""
    scores = [held.score(index, task) for index in range(len(held.names))]
    shown = [_score_text(score, held.metric) for score in scores]
    valued = [score for score in scores if score and score.value is not None]
    fair = len({(score.signature, score.documents_digest) for score in valued}) == 1
    judged = [fair and score is not None and score.value is not None for score in scores]
    cells = _bold(shown, judged, held.higher)
    rows = [rows.get(task) for rows in held.rows]
    return [f"{cell}{_mark(row)}" for cell, row in zip(cells, rows, strict=True)]


def _score_text(score: Score | None, metric: str) -> str:
    if score is None:
        return "–"
    return "n/c" if score.value is None else f"{score.value:.{places(metric)}f}"


def _mark(row: Comparison | None) -> str:
    """Return a verdict as a superscript; no change detected only takes the room of one."""
    if row is None or row.verdict in ("no_change", "missing"):
        return rf"$^{{\phantom{{{_UP.strip('$')}}}}}$"
    return rf"$^{{{escape(MARKS[row.verdict]).strip('$')}}}$"


def _foot(held: Held, tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """Return two lines: scores of how many tasks there are, and verdicts against the baseline."""
    indices = range(len(held.names))
    scores = [[held.score(index, task) for task in tasks] for index in indices]
    there = [sum(one is not None and one.value is not None for one in own) for own in scores]
    verdicts = [Counter(rows[t].verdict for t in tasks if t in rows) for rows in held.rows]
    counts = [f"{v['improved']}/{v['regressed']}" if v else escape("–") for v in verdicts]
    return [("n/N", *(f"{n}/{len(tasks)}" for n in there)), (f"{_UP}/{_DOWN}", *counts)]
