"""What each rule sees in a comparison: one reading a gate, before waivers.

Differences are turned so that more is better; of each row it is said whether it holds (``pass``),
fails, or cannot be judged (``warn``).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bayling_eval import statistics
from bayling_eval.errors import UserError, unknown
from bayling_eval.gate import rules, words
from bayling_eval.gate.held import Held
from bayling_eval.gate.outcomes import GateRow
from bayling_eval.gate.select import select
from bayling_eval.gate.words import finite, number
from bayling_eval.macro import GROUPINGS, Grouping
from bayling_eval.metrics import MetricSpec
from bayling_eval.records import Comparison, MacroRow, Settings
from bayling_eval.sides import Side

State = Literal["pass", "warn", "fail"]
Ends = tuple[float, float]


@dataclass(frozen=True)
class Reading:
    """What a rule sees."""

    rows: list[GateRow]
    """Worst first."""
    limit: str
    """What is asked for, in words."""
    observed: Callable[[Sequence[GateRow]], str]
    """What there is, in words, of the rows that are not waived."""
    allowed: Callable[[int], int] = lambda rows: 0
    """How many of so many rows may fail."""
    detectable: float | None = None
    """Largest of the differences that would be found with 80 % power."""


def count(gate: rules.CountGate, held: Held) -> Reading:
    """Count the rows with a verdict; a row that nothing is known of may have it."""
    chosen = select(gate, held.rows(gate.metric))
    found = []
    for row in chosen:
        why, large = _unknown(row), gate.min_abs is None or abs(row.delta or 0.0) >= gate.min_abs
        if row.verdict in gate.verdict and (row.delta is None or (large and not why)):
            state: State = "fail"
        else:
            state = "warn" if why else "pass"
        ends = words.interval(row.metric, row.ci_low, row.ci_high)
        said = why or f"{words.measured(row)} {ends}, {words.tested(row, held.tests(row))}"
        found.append(_row(gate, held, row, state, said, (row.ci_low, row.ci_high)))
    over = f" by {words.size(chosen[0].metric, gate.min_abs)} or more" if gate.min_abs else ""
    return Reading(
        found,
        f"at most {gate.max} {'/'.join(gate.verdict)}{over}",
        _counted,
        lambda rows: gate.max,
        max(
            (e for row in chosen if (e := number(row.detectable_effect)) is not None), default=None
        ),
    )


def _counted(rows: Sequence[GateRow]) -> str:
    fails, unknown_ = (sum(row.outcome == state for row in rows) for state in ("fail", "warn"))
    return f"{fails}, {unknown_} unknown" if unknown_ else str(fails)


def protected(gate: rules.ProtectedGate, held: Held) -> Reading:
    """Show of each row that it does not lose the limit: non-inferiority, together over the rows."""

    def judged(low: float, high: float) -> tuple[State, str]:
        limit = words.size(name, gate.limit)
        if low > -gate.limit:
            return "pass", f"loses less than {limit}"
        if high < -gate.limit:
            return "fail", f"loses more than {limit}"
        return "warn", f"whether it loses {limit} cannot be said"

    name = MetricSpec.parse(gate.metric).name
    return _together(gate, held, judged, f"loses less than {words.size(name, gate.limit)}")


def health(gate: rules.HealthGate, held: Held) -> Reading:
    """Look for rows whose rate certainly worsens by more than it may."""

    def judged(low: float, high: float) -> tuple[State, str]:
        limit = words.size(name, gate.max_change)
        if -high > gate.max_change:
            return "fail", f"worse by more than {limit}"
        if -low <= gate.max_change:
            return "pass", f"worse by at most {limit}"
        return "warn", f"whether it is worse by more than {limit} cannot be said"

    name = MetricSpec.parse(gate.metric).name
    return _together(gate, held, judged, f"worse by at most {words.size(name, gate.max_change)}")


def _together(
    gate: rules.ProtectedGate | rules.HealthGate,
    held: Held,
    judged: Callable[[float, float], tuple[State, str]],
    limit: str,
) -> Reading:
    """Judge the gain of each row by an interval that holds for all rows of the gate together."""
    chosen, sign = select(gate, held.rows(gate.metric)), 1 if held.up(gate.metric) else -1
    found, detectable = [], []
    for row in chosen:
        if why := _unknown(row):
            found.append(_row(gate, held, row, "warn", why, (None, None)))
            continue
        stderr = row.stderr or 0.0
        ends = statistics.simultaneous(row.delta or 0.0, stderr, len(chosen))
        ends = _widened(row.metric, ends, row.clusters or row.n, len(chosen))
        state, said = judged(*sorted(sign * end for end in ends))
        # Resamples that never differ say nothing of what a difference would have to be.
        if stderr:
            detectable.append(statistics.detectable_effect(stderr, len(chosen)))
        if state == "warn" and stderr:
            effect = words.size(row.metric, detectable[-1])
            said += f": with {row.n} {_noun(row)} {effect} would be found"
        shown = f"{words.measured(row)} {words.interval(row.metric, *ends)} for all {len(chosen)}"
        found.append(_row(gate, held, row, state, f"{shown}, {said}", ends))
    return Reading(found, limit, _worst, detectable=max(detectable, default=None))


def macro(gate: rules.MacroGate, held: Held) -> Reading:
    """Hold the interval of a mean against a gain; a mean over a part of its group never passes."""
    mean = _mean(gate, held)
    low, high = (
        (mean.ci_low, mean.ci_high)
        if gate.interval == "these"
        else (mean.population_ci_low, mean.population_ci_high)
    )
    over = f"over {mean.n}/{mean.n_expected}"
    state: State = "warn"
    if not finite(mean.delta, low, high):
        said = f"no mean {over}: {mean.reason or 'it is not a number'}"
    else:
        ends = sorted(end if held.up(gate.metric) else -end for end in (low or 0.0, high or 0.0))
        state = "pass" if ends[0] >= gate.min else "fail" if ends[1] < gate.min else "warn"
        held_for = "these languages" if gate.interval == "these" else "languages like these"
        said = f"mean {mean.metric} {words.change(mean.metric, mean.delta)} "
        said += f"{words.interval(mean.metric, low, high)} for {held_for} {over}"
        if state == "pass" and mean.n < mean.n_expected:
            state, said = "warn", f"{said}; {mean.reason}"
    if worst := _members(gate, held, mean):
        said += f"; worst: {words.listed(worst, 3)}"
    row = GateRow(
        **{**_about(gate), "metric": mean.metric},
        name=words.visible(mean.group),
        outcome=state,
        delta=number(mean.delta),
        ci_low=number(low),
        ci_high=number(high),
        sentence=f"{words.visible(mean.group)}: {said}",
    )
    better = "at least" if held.up(gate.metric) else "turned, at least"
    return Reading([row], f"{better} {words.change(mean.metric, gate.min)}", _worst)


def coverage(gate: rules.CoverageGate, held: Held) -> Reading:
    """Ask for comparisons of enough of the planned tasks."""
    found = []
    for row in select(gate, held.rows(gate.metric)):
        why = None if finite(row.delta, row.stderr, row.ci_low, row.ci_high) else _unknown(row)
        found.append(
            _row(gate, held, row, "fail" if why else "pass", why or "compared", _ends(row))
        )
    found.sort(key=lambda row: row.outcome == "pass")

    def observed(rows: Sequence[GateRow]) -> str:
        compared = sum(row.outcome == "pass" for row in rows)
        return (
            f"{compared}/{len(rows)} ({100 * compared / len(rows):.1f} %)" if rows else "all waived"
        )

    # 0.95 * 20 is 19.000000000000004 in floats.
    return Reading(
        found,
        f"at least {100 * gate.min:.4g} % of the tasks",
        observed,
        lambda rows: rows - math.ceil(gate.min * rows - 1e-9),
    )


def floor(gate: rules.FloorGate, held: Held) -> Reading:
    """Hold the interval of the candidate's own scores against a number."""
    found, sign = [], 1 if held.up(gate.metric) else -1
    limit = sign * (gate.min if gate.min is not None else gate.max or 0.0)
    name = MetricSpec.parse(gate.metric).name
    words_of = {1: ("at least", "under"), -1: ("at most", "over")}[sign]
    bound = words.score(name, sign * limit)
    for row in select(gate, held.rows(gate.metric)):
        score = held.score(row, gate.metric)
        if score is None:
            found.append(
                _row(gate, held, row, "warn", f"no score: {held.lacking(row)}", (None, None))
            )
            continue
        said = f"{row.metric} {words.score(name, score.value)}"
        ends: tuple[float | None, float | None] = (score.ci_low, score.ci_high)
        state: State = "warn"
        if finite(score.value, *ends):
            ends = _widened(row.metric, (ends[0] or 0.0, ends[1] or 0.0), score.n, 1)
            low, high = sorted(sign * end for end in ends)
            state = "pass" if low >= limit else "fail" if high < limit else "warn"
            said += f" {words.scores(name, *ends)}"
        tail = {"pass": f"{words_of[0]} {bound}", "fail": f"{words_of[1]} {bound}"}
        tail["warn"] = f"whether it is {tail['pass']} cannot be said"
        made = _row(gate, held, row, state, f"{said}, {tail[state]}", ends)
        update = {"candidate_value": number(score.value), "signature": score.signature}
        found.append(made.model_copy(update=update))
    found.sort(key=lambda row: _rank(row.candidate_value, sign))

    def observed(rows: Sequence[GateRow]) -> str:
        return next((words.score(name, row.candidate_value) for row in rows), "all waived")

    return Reading(found, f"{words_of[0]} {bound}", observed)


def same(gate: rules.SameGate, held: Held) -> Reading:
    """Ask that settings are known and equal; what is unknown may differ."""
    tasks = {planned.task for planned in select(gate, held.planned)}
    found = []
    for ours, theirs in held.sides:
        if not tasks & {*ours.planned, *theirs.planned}:
            continue
        cell = ours.cell or theirs.cell
        family = f"{cell.family} {cell.selection}".removesuffix(" all") if cell else ""
        differ = [text for field in gate.require_same if (text := _differ(field, ours, theirs))]
        found.append(
            GateRow(
                **_about(gate),
                name=family,
                family=cell.family if cell else None,
                outcome="fail" if differ else "pass",
                sentence=f"{family}: {'; '.join(differ) or 'the same'}",
            )
        )

    def observed(rows: Sequence[GateRow]) -> str:
        differ = sum(row.outcome != "pass" for row in rows)
        return f"{differ} of {len(rows)} differ" if differ else "the same"

    return Reading(found, f"the same {', '.join(gate.require_same)}", observed)


READINGS: Mapping[str, Callable[[Any, Held], Reading]] = {
    "count": count,
    "protected": protected,
    "macro": macro,
    "health": health,
    "coverage": coverage,
    "floor": floor,
    "same": same,
}
"""What reads each rule."""


def _about(gate: rules.Gate) -> dict[str, Any]:
    return {"gate": gate.id, "rule": gate.rule}


def _row(
    gate: rules.Selecting,
    held: Held,
    row: Comparison,
    state: State,
    said: str,
    ends: tuple[float | None, float | None],
) -> GateRow:
    name = words.name(row, held.families)
    same = row.model_dump(
        include={"task", "family", "src_lang", "tgt_lang", "lang", "metric", "signature"}
    )
    return GateRow(
        **_about(gate),
        **same,
        name=name,
        outcome=state,
        candidate_value=number(row.candidate_value),
        baseline_value=number(row.baseline_value),
        delta=number(row.delta),
        ci_low=number(ends[0]),
        ci_high=number(ends[1]),
        sentence=f"{name}: {words.visible(said)}",
    )


def _unknown(row: Comparison) -> str | None:
    """Say why nothing can be said of a row."""
    if row.delta is None:
        return f"{row.verdict}: {words.visible(row.reason or 'no comparison')}"
    if not finite(row.delta, row.stderr, row.ci_low, row.ci_high, row.p_adjusted):
        return (
            f"not a number: {row.metric} is not defined on some resamples of {row.n} {_noun(row)}"
        )
    return row.reason if row.detectable_effect is None else None


def _widened(metric: str, ends: Ends, units: int | None, tests: int) -> Ends:
    """Widen an interval of shares in which no segment differs: a bootstrap gives it no width.

    Of n segments without one, at most 1 - (alpha / 2m)^(1/n) of all may be one: the exact binomial
    bound (Clopper & Pearson 1934).
    """
    bare = ends[0] == ends[1] and abs(ends[0]) in (0.0, 1.0)
    if not bare or not units or not metric.endswith("_rate"):
        return ends
    reach = 1 - (statistics.ALPHA / (2 * tests)) ** (1 / units)
    return ends[0] - reach, ends[1] + reach


def _noun(row: Comparison) -> str:
    return "segments" if row.tgt_lang else "documents"


def _ends(row: Comparison) -> tuple[float | None, float | None]:
    return row.ci_low, row.ci_high


def _worst(rows: Sequence[GateRow]) -> str:
    """Return the difference of the first row that fails, else of the first that there is."""
    there = [row for row in rows if row.delta is not None]
    ranked = sorted(there, key=lambda row: ("fail", "warn", "pass").index(row.outcome))
    if not ranked:
        return "nothing to judge"
    metric, worst = ranked[0].metric or "", ranked[0]
    shown = words.interval(metric, worst.ci_low, worst.ci_high)
    return f"{words.change(metric, worst.delta)} {shown}"


def _rank(value: float | None, sign: int) -> tuple[bool, float]:
    return (value is None, 0.0 if value is None else sign * value)


def _mean(gate: rules.MacroGate, held: Held) -> MacroRow:
    name, by = MetricSpec.parse(gate.metric).name, [gate.by] if gate.by else Grouping().by
    found = {
        mean.group: mean
        for mean in held.pair.macro
        if (mean.metric, mean.tasks) == (name, "pair") and mean.by in by
    }
    if not found:
        raise UserError(
            f"there are no means of {gate.metric}: no task has it, or it is never averaged "
            "(bleu and ter)"
        )
    if gate.group not in found:
        said = str(unknown("group", gate.group, found))
        there = "" if "Known: " in said else f" There are {words.known(found)}."
        raise UserError(said + there)
    return found[gate.group]


def _members(gate: rules.MacroGate, held: Held, mean: MacroRow) -> list[str]:
    """Return the members of a group that lose, worst first, with their differences."""
    sign = 1 if held.up(gate.metric) else -1
    return [
        f"{words.name(row, held.families)} {words.change(row.metric, row.delta)}"
        for row in held.rows(gate.metric)
        if finite(row.delta)
        and sign * (row.delta or 0.0) < 0
        and GROUPINGS[mean.by](row) == mean.group
    ]


def _differ(field: str, ours: Side, theirs: Side) -> str | None:
    """Say how a setting differs; of a run, which names its engine, nothing is unknown."""
    settings = [side.cell.settings if side.cell else Settings() for side in (ours, theirs)]
    values = [getattr(one, field) for one in settings]
    known = [one.backend is not None or getattr(one, field) is not None for one in settings]
    if all(known) and values[0] == values[1]:
        return None
    shown = [
        words.visible(value, 200) if is_known else "unknown"
        for value, is_known in zip(values, known, strict=True)
    ]
    return f"{field} {' / '.join(shown)}"
