"""Two systems, paired by document: differences, intervals, corrected tests and verdicts.

Only per-segment statistics are read, never texts. What may not be compared gets a row that says
why; the documents of two systems are never intersected.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayling_eval import statistics
from bayling_eval.errors import UserError
from bayling_eval.macro import Difference, Grouping, averages
from bayling_eval.method import Method
from bayling_eval.metrics import HEADLINE, Metric, MetricSpec, make
from bayling_eval.records import Comparison, MacroRow, Score, Verdict
from bayling_eval.sides import QUALITY, Rows, Side, metrics_of, pairs, settings_diff
from bayling_eval.statistics import Floats, Numbers
from bayling_eval.store import System
from bayling_eval.tables import Stored

MARKS: Mapping[Verdict, str] = {
    "regressed": "▼",
    "leans_down": "▽",
    "below_minimum_effect": "≈",
    "no_change": "·",
    "leans_up": "△",
    "improved": "▲",
    "incomparable": "x",
    "missing": "?",
}
"""One mark a verdict, wherever one is shown; filled where Holm's correction is passed."""
# chrF++ of a segment; another good wording seldom costs so much. Of BayLing's outputs for WMT22,
# 1 to 3 % of GPT-3.5's segments are 30 or more under GPT-4's, of 7B and 13B models' 10 to 50 %.
_COLLAPSE = 30
_DEFAULT = Method()

Keys = frozenset[tuple[str, str]]
"""Tasks and metrics."""


@dataclass(frozen=True)
class Comparisons:
    """What ``compare`` found for one pair of systems."""

    candidate: System
    baseline: System
    rows: list[Comparison]
    """One row a task and metric; worst first within each metric."""
    macro: list[MacroRow]
    """One row a group and metric."""
    incomplete: list[str]
    """Tasks that a system planned itself and that have no valid score."""
    differences: tuple[Difference, ...]
    """The rows with their resampled differences, for other averages."""


def compare(
    candidate: System,
    baseline: System,
    *,
    names: Sequence[str] = (),
    references: Sequence[str] = (),
    method: Method = _DEFAULT,
    progress: Callable[[str], None] = lambda _: None,
) -> Comparisons:
    """Compare two systems on every task that at least one of them planned.

    ``names`` are metrics as written (``bleu:tokenize=char``), by default those of ``QUALITY`` that
    a side was scored with; ``references`` choose among references. A task gives one row a metric:
    where it was scored in several ways, the first that both sides share. Under
    ``method.untested`` rows have differences and intervals, no p-value, and no verdict by one.

    Raises:
        UserError: an unknown metric, one without a better direction, a system with several settings
            for a family, or too few trials for the number of tests.
    """
    _check_effects(method)
    made = metrics_of(names or QUALITY)
    found = pairs(candidate, baseline, made, references)
    if not names:
        scored = {written for sides in found for side in sides for _, written in side.scores}
        made = {name: metric for name, metric in made.items() if name in scored} or made
    for name in made if method.trials else ():
        statistics.check_resolution(method.trials, _count_tests(found, name))
    tested: dict[str, list[Difference | _Paired]] = {name: [] for name in made}
    for sides in found:
        for task in sorted({*sides[0].planned, *sides[1].planned}):
            progress(task)
            for name, metric in made.items():
                planned = sides[0].planned.get(task) or sides[1].planned[task]
                if metric.of_texts == (planned.tgt_lang is not None):
                    tested[name].append(_row(task, name, sides, metric, method))
    groups = []
    for name, group in tested.items():
        progress(f"testing {name}")
        judged = _corrected(_tested(group, made[name], method))
        groups.append(sorted(judged, key=_worst_first))
    differences = tuple(found for group in groups for found in group)
    incomplete = [
        f"{side.system.name}: {task}: {why}"
        for sides in found
        for side in sides
        for task, why in side.reasons.items()
    ]
    rows = [found.row for found in differences]
    macro = averages(differences)
    return Comparisons(candidate, baseline, rows, macro, incomplete, differences)


def _check_effects(method: Method) -> None:
    """Refuse minimum effects of metrics that are not known, or that no row would be found by."""
    specs = [MetricSpec.parse(name) for name in method.min_effect]
    for spec in specs:
        if spec.options:
            raise UserError(f"min_effect of {spec}: it is by the metric's name: write {spec.name}")
    metrics_of([spec.name for spec in specs if not spec.file])


def averaged(found: Sequence[Comparisons], grouping: Grouping) -> list[Comparisons]:
    """Average as asked, and over the tasks that every pair has, where these are fewer."""
    common = shared(found)
    return [
        replace(
            pair,
            macro=[
                *averages(pair.differences, grouping),
                *(
                    averages(pair.differences, grouping, common=common)
                    if common != measured(pair.rows)
                    else []
                ),
            ],
        )
        for pair in found
    ]


def joined(found: Comparisons, more: Comparisons) -> Comparisons:
    """Return the comparison of one pair under some metrics together with that under others."""
    return replace(
        found,
        rows=[*found.rows, *more.rows],
        macro=[*found.macro, *more.macro],
        differences=(*found.differences, *more.differences),
    )


def measured(rows: Iterable[Comparison]) -> Keys:
    """Return the tasks and metrics of rows with a difference."""
    return frozenset((row.task, row.metric) for row in rows if row.delta is not None)


def shared(found: Sequence[Comparisons]) -> Keys:
    """Return the tasks and metrics that every pair has a difference of."""
    return frozenset.intersection(*(measured(pair.rows) for pair in found))


def _row(
    task: str, written: str, sides: tuple[Side, Side], metric: Metric, method: Method
) -> "Difference | _Paired":
    """Return the row of one task under one metric, not tested yet."""
    ours, theirs = sides
    planned = ours.planned.get(task) or theirs.planned[task]
    cells = (ours.cell, theirs.cell)
    diff = settings_diff(cells[0].settings, cells[1].settings) if cells[0] and cells[1] else []
    row = Comparison(
        **planned.model_dump(include={"task", "family", "src_lang", "tgt_lang", "lang"}),
        metric=metric.name,
        signature=None,
        candidate=ours.system.name,
        baseline=theirs.system.name,
        verdict="missing",
        settings_diff=diff,
    )
    mine, others = (side.scores.get((task, written), {}) for side in sides)
    if method.strict and diff:
        reason = f"settings differ: {'; '.join(diff)}"
        return Difference(row.model_copy(update={"verdict": "incomparable", "reason": reason}))
    shared = [signature for signature in mine if signature in others]
    if not shared:
        return Difference(_without(row, sides, (mine, others)))
    signature = shared[0]
    row = row.model_copy(update={"signature": signature})
    return _measured(row, (mine[signature], others[signature]), sides, metric, method)


def _without(row: Comparison, sides: tuple[Side, Side], found: tuple[Rows, Rows]) -> Comparison:
    """Say why a task has no numbers: it is missing on a side, or what was computed differs."""
    all_of = [side.signatures.get((row.task, row.metric), []) for side in sides]
    if all(all_of) and not set(all_of[0]) & set(all_of[1]):
        reason = f"signatures differ: {' / '.join(' and '.join(side) for side in all_of)}"
        return row.model_copy(update={"verdict": "incomparable", "reason": reason})
    absent = next((s for s, scores in zip(sides, found, strict=True) if not scores), sides[0])
    name, others = absent.system.name, all_of[sides.index(absent)]
    if row.task not in absent.planned:
        reason = f"{name} has no outputs for it"
    elif others:
        reason = f"{name}: not scored as asked, only as {' and '.join(others)}"
    else:
        why = absent.reasons.get(row.task) or absent.partial.get(row.task)
        reason = f"{name}: {why or f'no {row.metric} score'}"
    return row.model_copy(update={"reason": reason})


@dataclass(frozen=True)
class _Paired:
    """What is to be tested: a row, and both sides' statistics, by document."""

    row: Comparison
    measured: Mapping[str, Any]
    """What the row says where it turns out to be a number."""
    delta: float
    candidate: Floats
    baseline: Floats


def _measured(
    row: Comparison,
    scores: tuple[Score, Score],
    sides: tuple[Side, Side],
    metric: Metric,
    method: Method,
) -> Difference | _Paired:
    """Measure one row; neither resampled nor tested yet."""
    mine, others = scores
    if mine.documents_digest != others.documents_digest:
        reason = _documents_reason(row.task, sides, scores)
        return Difference(row.model_copy(update={"verdict": "incomparable", "reason": reason}))
    key = (row.task, row.metric, str(row.signature))
    ours, theirs = (side.stored[key] for side in sides)
    documents = _documents(ours, theirs, method)
    candidate = statistics.by_document(ours.values, documents)
    baseline = statistics.by_document(theirs.values, documents)
    for side, values in zip(sides, (candidate, baseline), strict=True):
        # chrF takes a count that is no number for none.
        if not np.isfinite(values).all():
            reason = f"{side.system.name}: a count of a segment is no number: score it again"
            return Difference(row.model_copy(update={"verdict": "incomparable", "reason": reason}))
    delta = float(metric.aggregate(candidate.sum(axis=0)) - metric.aggregate(baseline.sum(axis=0)))
    measured = {
        "candidate_value": mine.value,
        "baseline_value": others.value,
        "delta": delta,
        "minimum_effect": method.minimum_effect(row.metric),
        "collapsed": _collapsed(row, sides),
        "n": mine.n,
        "clusters": None if documents is None else len(candidate),
        "verdict": "no_change",
    }
    return _Paired(row, measured, delta, candidate, baseline)


def _tested(
    group: Sequence[Difference | _Paired], metric: Metric, method: Method
) -> list[Difference]:
    """Resample and test all rows of one metric: together it takes a tenth of the time."""
    asked = [one for one in group if isinstance(one, _Paired)]
    sides = [side for one in asked for side in (one.candidate, one.baseline)]
    drawn = statistics.resampled(metric.aggregate, sides, method.resamples)
    p_values: list[float] | list[None] = [None] * len(asked)
    if method.trials:
        p_values = statistics.randomisation_ps(
            metric.aggregate,
            [(one.delta, one.candidate, one.baseline) for one in asked],
            method.trials,
            getattr(metric, "nearly", None),
        )
    found = zip(drawn[::2], drawn[1::2], p_values, strict=True)
    done = {id(one): _with_test(one, *next(found), metric, method) for one in asked}
    return [one if isinstance(one, Difference) else done[id(one)] for one in group]


def _with_test(
    paired: _Paired, ours: Floats, theirs: Floats, p: float | None, metric: Metric, method: Method
) -> Difference:
    samples, measured = ours - theirs, paired.measured
    if not (math.isfinite(paired.delta) and np.isfinite(samples).all()):
        values = f"{measured['candidate_value']} / {measured['baseline_value']}"
        reason = f"a score is no number: {values}, or one of its resamples"
        bare = paired.row.model_copy(update={"verdict": "incomparable", "reason": reason})
        return Difference(bare)
    low, high = statistics.interval(samples)
    update = {
        **measured,
        "ci_low": low,
        "ci_high": high,
        "stderr": float(samples.std(ddof=1)),
        "p_value": p,
        # No trial reached the difference: all that is known is that p is not above this.
        "p_is_bound": None if p is None else p * (method.trials + 1) < 1.5,
    }
    row = paired.row.model_copy(update=update)
    return Difference(row, samples, metric.higher_is_better is True)


def _documents(ours: Stored, theirs: Stored, method: Method) -> Numbers | None:
    """Return the document of each segment, where both sides know them and they are to count."""
    if method.cluster == "none" or ours.documents is None or theirs.documents is None:
        return None
    return ours.documents if np.array_equal(ours.documents, theirs.documents) else None


def _collapsed(row: Comparison, sides: tuple[Side, Side]) -> int | None:
    """Count the segments that lost most of their chrF++, with the references of the row."""
    ours, theirs = (
        {
            signature: side.stored[row.task, HEADLINE, signature].values
            for signature in side.signatures.get((row.task, HEADLINE), [])
            if _texts(signature) == _texts(row.signature)
        }
        for side in sides
    )
    shared = next((signature for signature in ours if signature in theirs), None)
    if shared is None:
        return None
    score = make(MetricSpec(HEADLINE)).aggregate
    return int(np.sum(score(theirs[shared]) - score(ours[shared]) >= _COLLAPSE))


def _texts(signature: str | None) -> set[str]:
    """Return the parts of a signature that say which texts were held against which."""
    parts = (signature or "").split("|")
    return {part for part in parts if part.startswith(("refs:", "post:"))}


def _documents_reason(task: str, sides: tuple[Side, Side], scores: tuple[Score, Score]) -> str:
    manifests = [side.cell.manifest() if side.cell else None for side in sides]
    ours, theirs = (m.tasks[task] for m in manifests if m)
    if scores[0].n != scores[1].n:
        return f"number of documents differs: {scores[0].n} / {scores[1].n}"
    return "sources differ" if ours.sources_digest != theirs.sources_digest else "references differ"


def _count_tests(found: Iterable[tuple[Side, Side]], written: str) -> int:
    """Return how many tasks can be tested under a metric: same signature on both sides."""
    return sum(
        bool(rows.keys() & theirs.scores.get(key, {}).keys())
        for ours, theirs in found
        for key, rows in ours.scores.items()
        if key[1] == written
    )


def _corrected(group: list[Difference]) -> list[Difference]:
    """Correct over one family of tests: this comparison, one metric, all its tasks."""
    measured = [t for t in group if t.row.p_value is not None]
    if not measured:
        return group
    p_values = [t.row.p_value for t in measured if t.row.p_value is not None]
    holm, fdr = statistics.holm(p_values), statistics.benjamini_hochberg(p_values)
    done = {
        id(t): _judged(t, h, q, len(measured)) for t, h, q in zip(measured, holm, fdr, strict=True)
    }
    return [done.get(id(t), t) for t in group]


def _judged(tested: Difference, holm: float, fdr: float, tests: int) -> Difference:
    row = tested.row
    if row.delta is None or row.stderr is None or row.minimum_effect is None:
        return tested
    gain = row.delta if tested.higher_is_better else -row.delta
    verdict: Verdict = "no_change"
    if holm <= statistics.ALPHA and gain != 0:
        # 0.57 - 0.56 is 0.00999...
        small = abs(gain) < row.minimum_effect - 1e-9
        verdict = "below_minimum_effect" if small else "improved" if gain > 0 else "regressed"
    elif fdr <= statistics.FDR and gain != 0:
        verdict = "leans_up" if gain > 0 else "leans_down"
    low, high = statistics.simultaneous(row.delta, row.stderr, tests)
    detectable: float | None = statistics.detectable_effect(row.stderr, tests)
    reason = None
    units, what = (row.clusters, "documents") if row.clusters else (row.n or 0, "segments")
    if not statistics.resolvable(units, tests):
        detectable = None
        reason = f"too few {what} ({units}): no difference could pass the correction"
    judged = {
        "p_adjusted": holm,
        "verdict": verdict,
        "simultaneous_ci_low": low,
        "simultaneous_ci_high": high,
        "detectable_effect": detectable,
        "reason": reason,
    }
    return replace(tested, row=row.model_copy(update=judged))


def _worst_first(tested: Difference) -> tuple[bool, float]:
    row = tested.row
    if row.delta is None:
        return (True, 0.0)
    return (False, row.delta if tested.higher_is_better else -row.delta)
