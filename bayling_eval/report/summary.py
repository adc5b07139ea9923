"""What a comparison says about groups of directions: verdicts counted, and the average."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bayling_eval.compare import Comparisons, Keys
from bayling_eval.macro import GROUPINGS, MIN_GROUP, Grouping, group_of
from bayling_eval.records import Comparison, MacroRow, Verdict
from bayling_eval.report.view import PIVOTS, WORDS, name_of, noun

_ALWAYS: tuple[Verdict, ...] = ("regressed", "improved")
_BY = {"language-family": "language family", "xlmr": "XLM-R"}


@dataclass(frozen=True)
class Summary:
    """What one comparison says about one metric and group."""

    pair: str
    """Name of the baseline."""
    metric: str
    """Name of the metric."""
    group: str
    """Which directions, in words."""
    counts: Mapping[Verdict, int]
    """Rows by verdict; all verdicts are there."""
    macro: MacroRow | None
    """The average; none where the metric is never averaged."""
    n: int
    """Directions with a difference."""
    n_expected: int
    """Directions that at least one side planned."""
    few: tuple[Comparison, ...]
    """The rows with a difference, where they are too few for a mean."""
    whole: bool = False
    """Whether the group is all directions of a family."""
    extra: bool = False
    """Whether it stands in the overview alone, after all directions and their sides."""

    detectable: float | None = None
    """Median of what the tests of its rows find; none where nothing was tested."""

    @property
    def usual(self) -> bool:
        """Whether it is all directions of a family or one of their sides."""
        return not self.extra

    @property
    def no_mean(self) -> str:
        """Why there is no mean; empty where there is one."""
        if self.macro is None:
            return "never averaged over languages: what it counts differs with them"
        if self.macro.delta is not None:
            return ""
        few = f"no mean of fewer than {MIN_GROUP} {noun(self.metric)}s"
        return few if self.macro.n else "nothing to average"


def counts(rows: Iterable[Comparison]) -> dict[Verdict, int]:
    """Return how many rows have each verdict, from bad to good, those without a number last."""
    found = Counter(row.verdict for row in rows)
    return {verdict: found[verdict] for verdict in WORDS}


def bar(found: Mapping[Verdict, int], width: float = 300) -> list[tuple[Verdict, float, float]]:
    """Return the parts of a bar of verdicts that occur: start and width, a gap between them."""
    total, at, parts = sum(found.values()), 0.0, []
    for verdict, count in found.items():
        if count:
            size = width * count / total
            parts.append((verdict, at, max(size - 1.5, 0.5)))
            at += size
    return parts


def verdicts(found: Sequence[Summary]) -> list[Verdict]:
    """Return the verdicts that a table of these needs: regressed, improved, and what occurs."""
    return [v for v in WORDS if v in _ALWAYS or any(one.counts[v] for one in found)]


def summaries(
    pair: Comparisons,
    baseline: str,
    metric: str,
    common: Keys = frozenset(),
    asked: Sequence[str] = (),
) -> list[Summary]:
    """Return the summary of each family and of its groups under one metric.

    After these stand the averages over the groupings ``asked`` for, and those over the ``common``
    tasks, which every baseline has.
    """
    rows = [row for row in pair.rows if row.metric == metric]
    macro = {r.group: r for r in pair.macro if r.metric == metric and r.tasks == "pair"}
    found = []
    families = sorted({row.family for row in rows})
    for family in families:
        own = [row for row in rows if row.family == family]
        groups = _groups(own)
        prefix = f"{family}: " if len(families) > 1 else ""
        # A group that holds all directions would only repeat them.
        for group in ("all", *(groups if len(groups) > 1 else ())):
            members = [r for r in own if group in ("all", group_of(r.src_lang, r.tgt_lang))]
            only = name_of(members[0]) if len(members) == 1 else ""
            text = prefix + (only or _group_text(group, groups, noun(metric)))
            average = macro.get(f"{family} {group}")
            made = _summary(baseline, metric, text, members, average)
            found.append(replace(made, whole=group == "all"))
    return found + _extras(pair, baseline, metric, common, asked)


def _extras(
    pair: Comparisons, baseline: str, metric: str, common: Keys, asked: Sequence[str]
) -> list[Summary]:
    """Return the averages over other groups, and over what every baseline has."""
    rows = [row for row in pair.rows if row.metric == metric]
    many = len({row.family for row in rows}) > 1
    usual = Grouping().by
    wanted = {*usual, *asked}
    found = []
    for average in pair.macro:
        # Few directions that every baseline has are listed with the others of their group.
        known = average.delta is None if average.tasks == "common" else average.by in usual
        if average.metric != metric or known or average.by not in wanted:
            continue
        kept = [row for row in rows if average.tasks == "pair" or (row.task, row.metric) in common]
        members = [row for row in kept if GROUPINGS[average.by](row) == average.group]
        families = {row.family for row in members}
        groups = _groups(row for row in kept if row.family in families)
        if not members or (average.by == "side" and len(groups) == 1):
            continue
        head, _, label = average.group.partition(f" {average.by}:")
        text = _group_text(head.partition(" ")[2] or "all", groups, noun(metric))
        text += f", {_BY.get(average.by, average.by)} {label}" if label else ""
        text = f"{families.pop()}: {text}" if many else text
        made = _summary(baseline, metric, text, members, average)
        found.append(replace(made, extra=True))
    return found


def _summary(
    baseline: str,
    metric: str,
    text: str,
    members: Sequence[Comparison],
    average: MacroRow | None,
) -> Summary:
    done = [row for row in members if row.delta is not None]
    few = tuple(done) if average and average.delta is None else ()
    finds = [row.detectable_effect for row in done if row.detectable_effect is not None]
    middle = median(finds) if finds else None
    return Summary(
        baseline,
        metric,
        text,
        counts(members),
        average,
        len(done),
        len(members),
        few,
        detectable=middle,
    )


def _groups(rows: Iterable[Comparison]) -> list[str]:
    """Return the sides that rows are of, those without a pivot last."""
    found = {group_of(row.src_lang, row.tgt_lang) for row in rows if row.tgt_lang}
    return sorted(found, key=lambda group: (group == "other", group))


def _group_text(group: str, groups: Sequence[str], row: str) -> str:
    if group == "other":
        return "Other directions"
    if group == "all":
        only = f" ({_group_text(groups[0], (), row)})" if len(groups) == 1 else ""
        return f"All {row}s{only if groups != ['other'] else ''}"
    source, _, target = group.partition("-")
    return f"{PIVOTS.get(source, 'X')} → {PIVOTS.get(target, 'X')}"
