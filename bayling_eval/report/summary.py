"""What a comparison says about groups of directions: verdicts counted, and the average."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bayling_eval.compare import Comparisons, group_of
from bayling_eval.records import Comparison, MacroRow, Verdict
from bayling_eval.report.view import PIVOTS, WORDS, name_of, noun

_ALWAYS: tuple[Verdict, ...] = ("regressed", "improved")


@dataclass(frozen=True)
class Summary:
    """What one comparison says about one metric and group."""

    pair: str
    """Name of the baseline."""
    metric: str
    """Name of the metric."""
    group: str
    """Which directions, in words."""
    whole: bool
    """Whether the group is all directions of a family."""
    counts: Mapping[Verdict, int]
    """Rows by verdict; all verdicts are there."""
    macro: MacroRow | None
    """The average; none where the metric is never averaged."""
    n: int
    """Directions with a difference."""
    n_expected: int
    """Directions that at least one side planned."""


def counts(rows: Iterable[Comparison]) -> dict[Verdict, int]:
    """Return how many rows have each verdict, from bad to good, those without a number last."""
    found = Counter(row.verdict for row in rows)
    return {verdict: found[verdict] for verdict in WORDS}


def verdicts(found: Sequence[Summary]) -> list[Verdict]:
    """Return the verdicts that a table of these needs: regressed, improved, and what occurs."""
    return [v for v in WORDS if v in _ALWAYS or any(one.counts[v] for one in found)]


def summaries(pair: Comparisons, baseline: str, metric: str) -> list[Summary]:
    """Return the summary of each family and of its groups under one metric."""
    rows = [row for row in pair.rows if row.metric == metric]
    macro = {row.group: row for row in pair.macro if row.metric == metric}
    found = []
    families = sorted({row.family for row in rows})
    for family in families:
        own = [row for row in rows if row.family == family]
        groups = sorted(
            {group_of(row.src_lang, row.tgt_lang) for row in own if row.tgt_lang},
            key=lambda g: (g == "other", g),
        )
        prefix = f"{family}: " if len(families) > 1 else ""
        # A group that holds all directions would only repeat them.
        for group in ("all", *(groups if len(groups) > 1 else ())):
            members = [r for r in own if group in ("all", group_of(r.src_lang, r.tgt_lang))]
            only = name_of(members[0]) if len(members) == 1 else ""
            found.append(
                Summary(
                    baseline,
                    metric,
                    prefix + (only or _group_text(group, groups, noun(metric))),
                    group == "all",
                    counts(members),
                    macro.get(f"{family} {group}"),
                    sum(r.delta is not None for r in members),
                    len(members),
                )
            )
    return found


def _group_text(group: str, groups: Sequence[str], row: str) -> str:
    if group == "other":
        return "Other directions"
    if group == "all":
        only = f" ({_group_text(groups[0], (), row)})" if len(groups) == 1 else ""
        return f"All {row}s{only if groups != ['other'] else ''}"
    source, _, target = group.partition("-")
    return f"{PIVOTS.get(source, 'X')} → {PIVOTS.get(target, 'X')}"
