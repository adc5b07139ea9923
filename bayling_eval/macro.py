"""Averages of differences over groups of tasks: what a comparison says of many languages at once.

Differences are averaged, never scores: their levels mean something else in each language. Each
average is over what its own pair of systems finished, so that another baseline moves none.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayling_eval import languages, statistics
from bayling_eval.errors import UserError, unknown
from bayling_eval.languages import Language
from bayling_eval.records import Comparison, MacroRow
from bayling_eval.statistics import Floats

PIVOTS = ("eng_Latn", "zho_Hans")
# A mean of BLEU or TER over languages mixes tokenizers.
NEVER_AVERAGED = {"bleu", "ter"}
# Fewer languages are shown one by one: an interval of two says nothing of languages.
MIN_GROUP = 5
_BANDS = ((1_000_000, "under 1M"), (10_000_000, "1M-10M"), (100_000_000, "10M-100M"))


@dataclass(frozen=True)
class Difference:
    """One row of a comparison with its resampled differences."""

    row: Comparison
    samples: Floats | None = None
    """Shape (resamples,); none where there is no difference."""
    higher_is_better: bool = True


@dataclass(frozen=True)
class Weights:
    """Weights of languages in a weighted mean."""

    name: str
    """``speakers``, or the file they are from."""
    by_language: Mapping[str, float]
    """By our keys; a language without one is left out."""

    @classmethod
    def of(cls, spec: str) -> "Weights":
        """Return ``speakers`` of the language table, or those of a CSV file: language, weight.

        Raises:
            UserError: the file is not there, or a line is no language and weight.
        """
        if spec == "speakers":
            known = {k: one.speakers for k, one in languages.table().items()}
            return cls(spec, {key: float(n) for key, n in known.items() if n})
        path = Path(spec)
        if not path.is_file():
            raise UserError(f"no weights {spec!r}: write speakers, or a CSV file language,weight")
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.reader(lines)
            read = [(rows.line_num, row) for row in rows if row and row != ["language", "weight"]]
        return cls(spec, dict(_weight(row, f"{path}:{number}") for number, row in read))


@dataclass(frozen=True)
class Grouping:
    """What averages are formed over."""

    by: tuple[str, ...] = ("suite", "side")
    """Names in ``GROUPINGS``."""
    weights: Weights | None = None


_DEFAULT = Grouping()


def group_of(src_lang: str | None, tgt_lang: str | None) -> str:
    """Return the pivot and its side: ``eng_Latn-x``, ``x-eng_Latn``, ... or ``other``."""
    for pivot in PIVOTS:
        if src_lang == pivot:
            return f"{pivot}-x"
        if tgt_lang == pivot:
            return f"x-{pivot}"
    return "other"


def language_of(row: Comparison) -> str | None:
    """Return the language that a row is about: beside a pivot the other, else the target."""
    if row.tgt_lang in PIVOTS and row.src_lang not in PIVOTS[: PIVOTS.index(row.tgt_lang)]:
        return row.src_lang
    return row.tgt_lang or row.lang


def averages(
    differences: Sequence[Difference],
    grouping: Grouping = _DEFAULT,
    *,
    common: frozenset[tuple[str, str]] | None = None,
) -> list[MacroRow]:
    """Average the differences of each metric over each group of tasks.

    ``common`` are the tasks and metrics that every pair compared has, for averages over these.
    """
    members: dict[tuple[str, str, str], list[Difference]] = {}
    for one in differences:
        if one.row.metric in NEVER_AVERAGED:
            continue
        if common is not None and (one.row.task, one.row.metric) not in common:
            continue
        for by in grouping.by:
            if (name := GROUPINGS[by](one.row)) is not None:
                members.setdefault((one.row.metric, by, name), []).append(one)
    order = list(dict.fromkeys(one.row.metric for one in differences))
    keys = sorted(members, key=lambda k: (order.index(k[0]), grouping.by.index(k[1]), k[2]))
    rows = [_average(key, members[key], grouping.weights) for key in keys]
    named = "pair" if common is None else "common"
    return [row.model_copy(update={"tasks": named}) for row in rows]


def check_grouping(names: Sequence[str]) -> None:
    """Refuse a grouping that is not known.

    Raises:
        UserError: it is not in ``GROUPINGS``.
    """
    for name in names:
        if name not in GROUPINGS:
            hint = "There is no source of resource levels: take xlmr or speakers"
            raise unknown("grouping", name, GROUPINGS, hint)


def _average(key: tuple[str, str, str], group: Sequence[Difference], w: Weights | None) -> MacroRow:
    metric, by, name = key
    first = group[0].row
    done = [(one.row, one.samples) for one in group if one.samples is not None]
    row = MacroRow(
        group=name,
        by=by,
        metric=metric,
        candidate=first.candidate,
        baseline=first.baseline,
        n=len(done),
        n_expected=len(group),
        members=[],
        reason=_missing(len(done), len(group)),
    )
    if len(done) < MIN_GROUP:
        few = f"fewer than {MIN_GROUP} tasks: no mean"
        reason = "; ".join(filter(None, [row.reason, few]))
        members = [one.task for one, _ in done]
        return row.model_copy(update={"members": members, "reason": reason})
    deltas = np.array([one.delta for one, _ in done], dtype=np.float64)
    samples = np.column_stack([samples for _, samples in done])
    low, high = statistics.interval(samples.mean(axis=1))
    wide_low, wide_high = statistics.interval(statistics.hierarchical_means(samples))
    found = {
        "delta": float(deltas.mean()),
        "ci_low": low,
        "ci_high": high,
        "population_ci_low": wide_low,
        "population_ci_high": wide_high,
        "clustered": all(one.clusters is not None for one, _ in done),
    }
    weighted = _weighted([one for one, _ in done], deltas, samples, w) if w else {}
    return row.model_copy(update={**found, **weighted})


def _missing(n: int, expected: int) -> str | None:
    return None if n == expected else f"{expected - n} of {expected} tasks have no comparison"


def _weighted(
    rows: Sequence[Comparison], deltas: Floats, samples: Floats, weights: Weights
) -> dict[str, Any]:
    """Return the weighted mean of what has a weight."""
    given = [weights.by_language.get(language_of(row) or "", 0.0) for row in rows]
    w = np.array(given, dtype=np.float64)
    if not w.any():
        return {"weights": weights.name, "n_weighted": 0}
    low, high = statistics.interval(samples @ w / w.sum())
    return {
        "weights": weights.name,
        "weighted_delta": float(deltas @ w / w.sum()),
        "weighted_ci_low": low,
        "weighted_ci_high": high,
        "n_weighted": int(np.count_nonzero(w)),
        "effective_n": float(w.sum() ** 2 / (w**2).sum()),
    }


def _weight(row: Sequence[str], where: str) -> tuple[str, float]:
    try:
        code, text = row
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise UserError(f"{where}: {','.join(row)!r} is not language,weight: write for example 1.5")
    if code not in languages.table():
        raise UserError(f"{where}: {unknown('language', code, languages.table())}")
    return code, weight


def _side(row: Comparison) -> str:
    return f" {group_of(row.src_lang, row.tgt_lang)}" if row.tgt_lang else ""


def _by_language(label: str, say: Callable[[Language], str]) -> Callable[[Comparison], str | None]:
    """Return a grouping by what the table says of a row's language, side by side."""

    def name(row: Comparison) -> str | None:
        found = languages.table().get(language_of(row) or "")
        return f"{row.family}{_side(row)} {label}:{say(found)}" if found else None

    return name


def band(speakers: int | None) -> str:
    """Return the band that a number of speakers is in; ``unknown`` where there is none."""
    if speakers is None:
        return "unknown"
    return next((name for limit, name in _BANDS if speakers < limit), "100M or more")


GROUPINGS: Mapping[str, Callable[[Comparison], str | None]] = {
    "suite": lambda row: f"{row.family} all",
    "side": lambda row: f"{row.family}{_side(row)}" if row.tgt_lang else None,
    "language-family": _by_language("language-family", lambda one: one.family or "unknown"),
    "script": _by_language("script", lambda one: one.script),
    "speakers": _by_language("speakers", lambda one: band(one.speakers)),
    "xlmr": _by_language("xlmr", lambda one: "covered" if one.xlmr else "not covered"),
}
"""What averages can be formed over; each but ``suite`` keeps the sides of translation apart."""
