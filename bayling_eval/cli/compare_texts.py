"""Comparisons in short texts: names, numbers with the digits that decide, methods, signatures."""

from collections import Counter
from collections.abc import Iterable, Sequence

from bayling_eval.compare import MARKS
from bayling_eval.digits import decided, p_decided, places
from bayling_eval.macro import GROUPINGS, Grouping
from bayling_eval.method import Method
from bayling_eval.records import Comparison
from bayling_eval.statistics import ALPHA
from bayling_eval.store import System

# More values of one part of a signature are not all listed.
_VALUES = 6


def system_names(systems: Sequence[System]) -> list[str]:
    """Return what systems are called: the name, or the label where two have the same name."""
    used = Counter(name for name, _ in {(one.name, one.label) for one in systems})
    return [one.label if used[one.name] > 1 else one.name for one in systems]


def short_names(rows: Iterable[Comparison]) -> dict[str, str]:
    """Return a short text by task, ``eng→amh``; the script too where a language has several.

    Tasks that would be called alike keep their names.
    """
    by_task = {row.task: row for row in rows}
    tongues = {key for row in by_task.values() for key in _tongues(row)}
    bases = Counter(map(_base, tongues))
    short = {key: key if bases[_base(key)] > 1 else _base(key) for key in tongues}
    several = len({row.family for row in by_task.values()}) > 1
    named = {}
    for task, row in by_task.items():
        name = "→".join(short[key] for key in _tongues(row))
        named[task] = f"{row.family} {name}" if several and name else name or task
    used = Counter(named.values())
    return {task: name if used[name] == 1 else task for task, name in named.items()}


def grouped(
    rows: Iterable[Comparison], by: Sequence[str]
) -> dict[tuple[str, str], list[Comparison]]:
    """Return rows by grouping and group, as averages are formed; without ``by`` as by default."""
    named = list(by or Grouping().by)
    found: dict[tuple[str, str], list[Comparison]] = {}
    for row in rows:
        for name in named:
            if (group := GROUPINGS[name](row)) is not None:
                found.setdefault((name, group), []).append(row)
    return dict(sorted(found.items(), key=lambda item: (named.index(item[0][0]), item[0][1])))


def noun(rows: Iterable[Comparison]) -> str:
    """Return what rows are: a ``direction`` of translation each, or any ``task``."""
    return "direction" if all(row.tgt_lang for row in rows) else "task"


def count(rows: Sequence[Comparison]) -> str:
    """Return how many directions or tasks there are: ``5 directions``."""
    return f"{len(rows)} {noun(rows)}{'' if len(rows) == 1 else 's'}"


def verdict_counts(rows: Iterable[Comparison]) -> dict[str, str]:
    """Return how many rows have each verdict, by its mark."""
    counts = Counter(row.verdict for row in rows)
    return {mark: str(counts[verdict]) for verdict, mark in MARKS.items()}


def method_of(rows: Sequence[Comparison], method: Method) -> str:
    """Return how the verdicts of one metric come about."""
    tested = _tested(rows)
    clustered = sum(row.clusters is not None for row in tested)
    drawn = "clustered by document" if clustered else "unclustered"
    if 0 < clustered < len(tested):
        drawn = f"{clustered} of {len(tested)} clustered by document"
    size = f"minimum effect {method.minimum_effect(rows[0].metric):g}"
    return f"Holm {100 * ALPHA:g} %, {size}, {method.trials:,} trials, {drawn}"


def family_of(rows: Sequence[Comparison]) -> str:
    """Return over how many tests the verdicts of one metric are corrected."""
    tested = _tested(rows)
    return f"{count(tested)} under {rows[0].metric}" if tested else "no test"


def signature_of(rows: Iterable[Comparison]) -> str:
    """Return the signatures of rows as one; parts that differ say what they are."""
    parts: dict[str, set[str]] = {}
    for text in {row.signature for row in rows if row.signature}:
        for part in text.split("|"):
            key, colon, value = part.partition(":")
            parts.setdefault(f"{key}{colon}", set()).add(value)
    more = {key: " or …" if len(values) > _VALUES else "" for key, values in parts.items()}
    shown = (f"{k}{' or '.join(sorted(v)[:_VALUES])}{more[k]}" for k, v in parts.items())
    return "|".join(shown) or "–"


def delta_text(row: Comparison) -> str:
    """Return a difference; at its minimum effect with the digits that say whether it is under."""
    if row.delta is None:
        return "–"
    effect = row.minimum_effect or 0.0
    return decided(row.delta, places(row.metric), -effect, 0.0, effect)


def interval_text(metric: str, low: float | None, high: float | None) -> str:
    """Return an interval of differences, its ends on their side of nothing."""
    if low is None or high is None:
        return "–"
    return f"[{', '.join(decided(end, places(metric), 0.0) for end in (low, high))}]"


def p_text(row: Comparison) -> str:
    """Return the corrected p-value with two digits, ``≤`` before what is only a bound."""
    p = row.p_adjusted
    if not p:
        return "–"
    return f"{'≤' if row.p_is_bound else ''}{p_decided(p)}"


def mean_text(metric: str, delta: float | None) -> str:
    """Return a mean difference, on its side of nothing."""
    return "–" if delta is None else decided(delta, places(metric), 0.0)


def _tested(rows: Iterable[Comparison]) -> list[Comparison]:
    return [row for row in rows if row.p_value is not None]


def _tongues(row: Comparison) -> list[str]:
    return [key for key in (row.src_lang, row.tgt_lang or row.lang) if key]


def _base(key: str) -> str:
    return key.partition("_")[0]
