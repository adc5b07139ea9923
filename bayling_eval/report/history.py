"""Earlier releases beside a report: what each was judged to be, and the drift since the best.

A ``report.json`` keeps no segments, so nothing is tested here. The interval of a drift takes the
two systems for independent, though they translate the same sentences: two systems that find the
same ones hard differ by less than that. Of several directions the errors may all go one way, so
the standard error of a mean is the mean of theirs: no correlation between directions makes it more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

from bayling_eval.macro import MIN_GROUP, NEVER_AVERAGED, group_of
from bayling_eval.records import Score
from bayling_eval.report import releases, view
from bayling_eval.report.falls import FULL
from bayling_eval.report.figures import curves
from bayling_eval.report.figures.svg import Figure
from bayling_eval.report.releases import Key, Known, Loaded, Release, words
from bayling_eval.statistics import ALPHA

if TYPE_CHECKING:
    # What it is part of imports this.
    from bayling_eval.report.contents import Report


@dataclass(frozen=True)
class Member:
    """One task of a drift that has no mean."""

    name: str
    """Direction in words."""
    delta: float
    """Present score minus the release's."""
    low: float | None
    """Lower end of the interval; none where a standard error is not known."""
    high: float | None
    """Upper end of it."""


@dataclass(frozen=True)
class Drift:
    """What the present candidate gained or lost since a release, over a group."""

    group: str
    """Which directions, in words."""
    metric: str
    """Name of the metric."""
    best: Release | None
    """The release that was best; none where none shares a task."""
    n: int
    """Tasks that both have, alike in metric, signature and documents."""
    n_expected: int
    """Tasks of the group that the present candidate has a score of."""
    delta: float | None = None
    """Mean of the differences, present minus release; none of too few."""
    low: float | None = None
    """Lower end of an interval that takes the two systems for independent."""
    high: float | None = None
    """Upper end of it."""
    members: tuple[Member, ...] = ()
    """The differences themselves, where they are too few for a mean."""
    n_all: int = 0
    """Tasks that all releases share with each other and the present: the best is chosen by them."""
    reason: str | None = None
    """Why there is no mean, or no best."""


@dataclass(frozen=True)
class History:
    """Earlier releases, and what became of them."""

    releases: tuple[Release, ...]
    """The oldest first, as they were given."""
    drifts: tuple[Drift, ...]
    """Drift since the best release by group."""
    figures: tuple[Figure, ...] = ()
    """The releases against the present candidate, where at least one group can be drawn."""


def read(
    loaded: Sequence[Loaded], report: "Report", scores: Sequence[Sequence[Score]]
) -> History | None:
    """Return the history of earlier reports, the oldest first; none without any.

    ``scores`` are the rows of the report's systems, the candidate's first.
    """
    if not loaded:
        return None
    present = {
        key: row for row in scores[0] if (key := _key(row, report.headline)) and row.status == "ok"
    }
    known = [releases.known(one, present.keys()) for one in loaded]
    groups: dict[str, dict[Key, Score]] = {}
    for key, row in present.items():
        for name in dict.fromkeys(_groups(row)):
            groups.setdefault(name, {})[key] = row
    sides = {name: rows for name, rows in groups.items() if not _again(name, groups)}
    drifts = [_drift(name, rows, known, report.headline) for name, rows in sides.items()]
    figures = _figures(sides, known, report)
    return History(tuple(one.release for one in known), tuple(drifts), tuple(figures))


def _key(row: Score, metric: str) -> Key | None:
    if row.metric != metric or not row.signature or not row.documents_digest:
        return None
    if row.value is None or not math.isfinite(row.value):
        return None
    return row.task, metric, row.signature, row.documents_digest


def _groups(row: Score) -> list[str]:
    side = group_of(row.src_lang, row.tgt_lang) if row.tgt_lang else ""
    return [f"{row.family} all", f"{row.family} {side}".strip()] if side else [f"{row.family} all"]


def _again(name: str, groups: Mapping[str, Mapping[Key, Score]]) -> bool:
    """Return whether a side is all of its family."""
    family, _, side = name.rpartition(" ")
    return side != "all" and len(groups[name]) == len(groups[f"{family} all"])


def _shared(rows: Mapping[Key, Score], known: Sequence[Known]) -> tuple[list[Known], list[Key]]:
    """Return the releases that the best is among, and the tasks that all of them share.

    One that shares much less of the group than the fullest would have the best chosen by few tasks.
    """
    counts = [len(rows.keys() & one.scores.keys()) for one in known]
    some = [one for one, n in zip(known, counts, strict=True) if n >= FULL * max(counts) > 0]
    return some, [key for key in rows if some and all(key in one.scores for one in some)]


def _drift(name: str, rows: Mapping[Key, Score], known: Sequence[Known], metric: str) -> Drift:
    """Return the drift of a group since its best release."""
    some, common = _shared(rows, known)
    called, sign = words(name), view.sign(metric)
    if not some:
        reason = "no release has a score with the same signature and documents"
        return Drift(called, metric, None, 0, len(rows), reason=reason)
    if not common:
        reason = "no task is in all of these releases, so none can be called the best"
        return Drift(called, metric, None, 0, len(rows), reason=reason)
    # Of equals the latest: a drift is held against what was released last.
    levels = [sign * fmean(one.scores[key][0] for key in common) for one in some]
    at = max(range(len(some)), key=lambda i: (levels[i], i))
    best = some[at]
    members = [_member(rows[key], best.scores[key]) for key in rows if key in best.scores]
    drift = Drift(called, metric, best.release, len(members), len(rows), n_all=len(common))
    if metric in NEVER_AVERAGED or len(members) < MIN_GROUP:
        few = f"no mean of fewer than {MIN_GROUP}"
        why = "never averaged over languages" if metric in NEVER_AVERAGED else few
        return replace(
            drift, members=tuple(sorted(members, key=lambda m: sign * m.delta)), reason=why
        )
    delta = fmean(member.delta for member in members)
    reaches = [m.high - m.delta for m in members if m.high is not None]
    if len(reaches) < len(members):
        return replace(drift, delta=delta, reason="a standard error is not known: no interval")
    reach = fmean(reaches)
    return replace(drift, delta=delta, low=delta - reach, high=delta + reach)


def _member(row: Score, then: tuple[float, float | None]) -> Member:
    value, stderr = then
    delta = float(row.value or 0.0) - value
    if stderr is None or row.stderr is None:
        return Member(view.name_of(row), delta, None, None)
    reach = NormalDist().inv_cdf(1 - ALPHA / 2) * math.hypot(stderr, row.stderr)
    return Member(view.name_of(row), delta, delta - reach, delta + reach)


def _figures(
    groups: Mapping[str, Mapping[Key, Score]], known: Sequence[Known], report: "Report"
) -> list[Figure]:
    """Draw each release against the present candidate, over the tasks that all of them share."""
    metric, courses = report.headline, []
    for name, rows in groups.items():
        _, common = _shared(rows, known)
        if metric not in NEVER_AVERAGED and len(common) >= MIN_GROUP:
            title = f"{words(name)} ({len(common)}/{len(rows)})"
            courses.append(_course(title, rows, common, known, report))
    if not courses:
        return []
    names = [f"{number}" for number in range(1, len(known) + 1)] + ["now"]
    axis = curves.Axis("release", tuple((float(at), text) for at, text in enumerate(names)))
    return [
        curves.multiples(
            "history",
            f"Releases against {report.names[0]}, in {view.title(metric)}",
            courses,
            metric,
            axis,
            levels=False,
            alt=f"Mean difference in {view.title(metric)} of {len(known)} releases from "
            f"{report.names[0]}, which is 0, by group. The table has the numbers.",
            note="Release minus present candidate, over the tasks that the releases share (n/N): "
            "above 0 a release was better. Releases are numbered as in the table. Intervals take "
            "the two systems for independent; a cross is a release that has too few of the tasks.",
        )
    ]


def _course(
    title: str,
    rows: Mapping[Key, Score],
    common: Sequence[Key],
    known: Sequence[Known],
    report: "Report",
) -> curves.Course:
    """Return the mean difference of each release from the present, which is 0 and stands last."""
    found: list[tuple[float | None, float | None]] = []
    for one in known:
        if any(key not in one.scores for key in common):
            found.append((None, None))
            continue
        members = [_member(rows[key], one.scores[key]) for key in common]
        reaches = [member.high - member.delta for member in members if member.high is not None]
        reach = fmean(reaches) if len(reaches) == len(members) else None
        found.append((-fmean(member.delta for member in members), reach))
    found.append((0.0, 0.0))
    names = [f"{at}, {one.release.candidate}" for at, one in enumerate(known, 1)]
    values = [value for value, _ in found]
    tips = [
        f"{name}: {view.number(value, report.headline, signed=True)}"
        if value is not None
        else f"{name}: too few of these tasks"
        for name, value in zip([*names, report.names[0]], values, strict=True)
    ]
    return curves.Course(
        title,
        tuple(float(at) for at in range(len(found))),
        tuple(values),
        tuple(None if v is None or r is None else v - r for v, r in found),
        tuple(None if v is None or r is None else v + r for v, r in found),
        tuple(tips),
    )
