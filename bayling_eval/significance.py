"""sacrebleu's two paired tests, to the last p-value, from the kept statistics and without texts.

The figures are those of ``sacrebleu.significance.PairedTest`` 2.6.0, whatever is to be said of
them: a system tested against itself has the smallest p there is, because ties do not count. Tests
of our own are in :mod:`bayling_eval.statistics`.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bayling_eval.errors import UserError
from bayling_eval.metrics import Metric
from bayling_eval.records import PlannedTask, Record
from bayling_eval.statistics import SEED, Floats

Test = Literal["bs", "ar"]
Singles = npt.NDArray[np.float32]

SAMPLES: Mapping[Test, int] = {"bs": 1_000, "ar": 10_000}
"""Resamples of the paired bootstrap, trials of the approximate randomisation, by default."""
METRICS = ("bleu", "chrf", "chrf++", "spbleu-flores101", "spbleu-flores200", "ter")
"""Metrics that sacrebleu has."""
VARIABLE = "SACREBLEU_SEED"
# Multiples of 1/8 up to 2^21 are exact in single precision; a factor of 2 is to spare.
_GRAIN, _EXACT = 8, 2**20
# Swaps are drawn as bits and become numbers a block at a time: 10,000 x 2,037 at once is 81 MB.
_BLOCK = 1_000


@dataclass(frozen=True)
class Draws:
    """Which test, and what it draws."""

    test: Test
    samples: int
    """Resamples or trials."""
    seed: int | None = SEED
    """None draws anew in each process."""

    def signed(self, signature: str) -> str:
        """Return a signature with the test and its seed, where ``PairedTest`` has them."""
        references, _, rest = signature.partition("|")
        return f"{references}|{self.test}:{self.samples}|seed:{str(self.seed).lower()}|{rest}"


@dataclass(frozen=True)
class Paired:
    """What sacrebleu's ``Result`` says of one system, in points of the metric."""

    value: float
    """Score of all segments."""
    mean: float | None
    """Mean over the resamples; none under ``ar``."""
    ci: float | None
    """Half the width of their 95 % interval; none under ``ar``."""
    p_value: float | None
    """Two-sided p of the difference from the baseline; none for the baseline itself."""


class PairedRow(Record):
    """One system under one metric and one of sacrebleu's paired tests."""

    task: str
    """Name of the task."""
    src_lang: str | None
    """Source language."""
    tgt_lang: str | None
    """Target language."""
    metric: str
    """Name of the metric."""
    signature: str
    """sacrebleu's signature, with test and seed where ``PairedTest`` has them."""
    system: str
    """Name of the system."""
    role: Literal["baseline", "system"]
    """Whether it is what the others are held against."""
    value: float
    """Score of all segments."""
    mean: float | None
    """Mean over the resamples; null under ``ar``."""
    ci: float | None
    """Half the width of their 95 % interval; null under ``ar``."""
    p_value: float | None
    """Two-sided p of the difference from the baseline, not corrected; null for the baseline."""
    test: Test
    """``bs``: paired bootstrap; ``ar``: paired approximate randomisation."""
    samples: int
    """Resamples or trials."""
    seed: int | None
    """Seed of the draws; null where there is none."""
    n: int
    """Number of segments."""


def seed_given() -> int | None:
    """Return sacrebleu's seed: ``$SACREBLEU_SEED``, else 12345; none where it says ``None``.

    Its tests take 0 for none too (sacrebleu 2.6.0 ``PairedTest.__call__``).

    Raises:
        UserError: it is neither a number from 0 on nor ``None``.
    """
    text = os.environ.get(VARIABLE, str(SEED)).strip()
    if text.lower() == "none":
        return None
    if not text.isdecimal():
        raise UserError(f"${VARIABLE} is a number from 0 on, or None; not {text!r}")
    return int(text) or None


def paired(
    metric: Metric,
    baseline: Floats,
    systems: Mapping[str, Floats],
    test: Test,
    samples: int | None = None,
    seed: int | None = SEED,
) -> list[Paired]:
    """Return what ``PairedTest`` says of a baseline and, in their order, of the systems.

    Statistics are of shape (segments, k), of the same segments for all.

    Raises:
        UserError: sacrebleu has no such metric, or there are no segments.
    """
    if metric.name not in METRICS:
        raise UserError(
            f"metric {metric.name}: sacrebleu has no paired test of it, only of "
            f"{', '.join(METRICS)}; name one with --metric"
        )
    if not len(baseline):
        raise UserError(f"metric {metric.name}: there are no segments to draw from")
    everyone = [np.asarray(one, dtype=np.float64) for one in (baseline, *systems.values())]
    # One segment after the other, as sacrebleu adds: thirds of a TER reference have no exact sum.
    values = [float(metric.aggregate(one.cumsum(axis=0)[-1])) for one in everyone]
    tested = _bootstrapped if test == "bs" else _randomised
    return tested(metric, everyone, values, Draws(test, samples or SAMPLES[test], seed))


def rows(
    planned: PlannedTask,
    metric: Metric,
    signature: str,
    systems: Mapping[str, Floats],
    draws: Draws,
) -> list[PairedRow]:
    """Return a row a system of one task; the first one is the baseline.

    Raises:
        UserError: sacrebleu has no such metric, or there are no segments.
    """
    (_, first), *others = systems.items()
    found = paired(metric, first, dict(others), draws.test, draws.samples, draws.seed)
    return [
        PairedRow(
            **planned.model_dump(include={"task", "src_lang", "tgt_lang"}),
            metric=metric.name,
            signature=draws.signed(signature),
            system=name,
            role="baseline" if one.p_value is None else "system",
            **vars(one),
            **vars(draws),
            n=len(first),
        )
        for name, one in zip(systems, found, strict=True)
    ]


def _bootstrapped(
    metric: Metric, everyone: Sequence[Floats], values: Sequence[float], draws: Draws
) -> list[Paired]:
    """Source: sacrebleu 2.6.0 ``_paired_bs_test``, ``_bootstrap_resample``."""
    sums = _resampled_sums(everyone, draws)
    scores = [_single_scores(metric, part) for part in np.split(sums, len(everyone), axis=1)]
    found = []
    for place, (value, own) in enumerate(zip(values, scores, strict=True)):
        p_value = None
        if place:
            sampled = np.abs(own - scores[0])
            p_value = _p_value(sampled - sampled.mean(), values[0] - value)
        found.append(Paired(value, *_mean_and_ci(own), p_value))
    return found


def _randomised(
    metric: Metric, everyone: Sequence[Floats], values: Sequence[float], draws: Draws
) -> list[Paired]:
    """Source: sacrebleu 2.6.0 ``_paired_ar_test``."""
    found = [Paired(values[0], None, None, None)]
    for value, (one, other) in zip(values[1:], _trial_sums(everyone, draws), strict=True):
        sampled = np.abs(metric.aggregate(one) - metric.aggregate(other))
        found.append(Paired(value, None, None, _p_value(sampled, values[0] - value)))
    return found


def _p_value(sampled: npt.NDArray[Any], difference: float) -> float:
    """Source: sacrebleu 2.6.0 ``_compute_p_value``; singles are compared as singles."""
    return (int(np.sum(sampled > abs(difference))) + 1) / (len(sampled) + 1)


def _mean_and_ci(scores: npt.NDArray[Any]) -> tuple[float, float]:
    """Source: sacrebleu 2.6.0 ``estimate_ci``."""
    ordered = np.sort(scores)
    outside = len(ordered) // 40
    low, high = ordered[outside], ordered[len(ordered) - outside - 1]
    return float(ordered.mean()), float(0.5 * (high - low))


def _single_scores(metric: Metric, sums: Any) -> npt.NDArray[Any]:
    """Return the scores of sums in single precision, in the precision that sacrebleu has.

    NumPy's promotion (NEP 50) leaves chrF and TER in it. But where nothing can be divided their
    score is a number of Python, and one such number makes doubles of all.
    """
    scores: npt.NDArray[Any] = metric.aggregate(sums)
    undivided = sums[:, 1] == 0 if metric.name == "ter" else scores == 0
    return scores.astype(np.float64) if undivided.any() else scores


def _resampled_sums(everyone: Sequence[Floats], draws: Draws) -> Singles:
    """Return all sums of each resample in single precision, shape (samples, systems x k)."""
    beside = np.concatenate(everyone, axis=1)
    single = beside.astype(np.float32)
    sums: Singles = _weights(len(single), draws) @ single
    if _is_exact(beside, sums):
        return sums
    # Then the order matters: one segment after the other.
    sums = np.zeros_like(sums)
    for drawn in _drawn(len(single), draws).T:
        sums += single[drawn]
    return sums


def _trial_sums(everyone: Sequence[Floats], draws: Draws) -> list[tuple[Floats, Floats]]:
    """Return the sums of both pseudo systems of each trial, each (samples, k), system by system."""
    baseline, *systems = everyone
    if not systems:
        return []
    swaps = _swaps(len(baseline), draws)
    beside = np.concatenate(everyone, axis=1)
    if not _is_exact(beside, beside.sum(axis=0)):
        # To the last bit the same only by the same products.
        return [
            (swaps @ baseline + ~swaps @ one, ~swaps @ baseline + swaps @ one) for one in systems
        ]
    moves = np.concatenate([baseline - one for one in systems], axis=1).astype(np.float32)
    moved = np.zeros((draws.samples, moves.shape[1]))
    # With one reference its n-grams are the same for all, a third of the columns of chrF.
    differing = moves.any(axis=0)
    moves = moves[:, differing]
    for start in range(0, draws.samples, _BLOCK):
        part = slice(start, start + _BLOCK)
        moved[part, differing] = swaps[part].astype(np.float32) @ moves
    parts = np.split(moved, len(systems), axis=1)
    total = baseline.sum(axis=0)
    return [
        (one.sum(axis=0) + part, total - part) for one, part in zip(systems, parts, strict=True)
    ]


def _is_exact(statistics: Floats, sums: npt.NDArray[Any]) -> bool:
    """Return whether these can be added up to such sums in single precision without rounding."""
    grains = statistics * _GRAIN
    return bool(sums.max(initial=0) < _EXACT and (grains == np.rint(grains)).all())


@functools.lru_cache(maxsize=2)
def _drawn(n: int, draws: Draws) -> npt.NDArray[np.int64]:
    """Return the segments of each resample, shape (samples, n)."""
    return np.random.default_rng(draws.seed).choice(n, size=(draws.samples, n), replace=True)


@functools.lru_cache(maxsize=2)
def _weights(n: int, draws: Draws) -> Singles:
    """Return how often each segment is in each resample."""
    weights = np.empty((draws.samples, n), dtype=np.float32)
    for row, drawn in zip(weights, _drawn(n, draws), strict=True):
        row[:] = np.bincount(drawn, minlength=n)
    return weights


@functools.lru_cache(maxsize=2)
def _swaps(n: int, draws: Draws) -> npt.NDArray[np.bool_]:
    """Return whose output is whose in each trial, shape (samples, n)."""
    return np.random.default_rng(draws.seed).integers(2, size=(draws.samples, n), dtype=bool)
