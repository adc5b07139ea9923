"""Intervals, paired tests and corrections, over per-segment sufficient statistics; pure numpy.

Statistics come as arrays of shape (segments, k); a metric's formula takes sums of shape (..., k).
The same random draws serve every direction with the same number of segments, so that resamples of
a multi-parallel test set are paired across its languages.
"""

import functools
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bayling_eval.errors import UserError
from bayling_eval.method import RESAMPLES, TRIALS

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int32]
Formula = Callable[[Floats], Floats]

# sacrebleu's (sacrebleu/significance.py), so that its resamples and trials are ours.
SEED = 12345
ALPHA = 0.05
FDR = 0.10
# Trials are drawn as bits and become numbers a block at a time: 10,000 x 2,037 at once is 163 MB.
_BLOCK = 1_000


def by_document(statistics: Floats, documents: Numbers | None) -> Floats:
    """Sum statistics by document, so that documents are drawn and swapped as wholes.

    Segments of one document are not independent: resampling them alone gives intervals that are
    too narrow (Miller 2024, arXiv 2411.00640). Without ``documents`` each segment stands alone.
    """
    if documents is None:
        return statistics
    sums: Floats = np.zeros((int(documents.max(initial=-1)) + 1, statistics.shape[1]))
    np.add.at(sums, documents, statistics)
    return sums


def bootstrap_sums(statistics: Floats, resamples: int = RESAMPLES) -> Floats:
    """Return the summed statistics of each bootstrap resample, shape (resamples, k)."""
    sums: Floats = _weights(len(statistics), resamples) @ statistics
    return sums


def interval(samples: Floats) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrap samples."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)


def trial_sums(candidate: Floats, baseline: Floats, trials: int = TRIALS) -> tuple[Floats, Floats]:
    """Return the sums of both pseudo systems of each randomisation trial, each (trials, k).

    Each trial swaps the two systems' outputs on a random half of the segments (Noreen 1989), drawn
    as in sacrebleu 2.6.0 ``_paired_ar_test`` with the same seed.
    """
    difference = baseline - candidate
    signs = _signs(len(candidate), trials)
    moved = np.concatenate(
        [
            signs[start : start + _BLOCK].astype(np.float64) @ difference
            for start in range(0, trials, _BLOCK)
        ]
    )
    return candidate.sum(axis=0) + moved, baseline.sum(axis=0) - moved


def randomisation_p(formula: Formula, observed: float, pseudo: tuple[Floats, Floats]) -> float:
    """Return the two-sided p-value of a difference against its randomisation trials.

    p = (1 + #{|T*| >= |T| - 1e-9}) / (trials + 1): a trial that ties with the observed difference
    counts against it. sacrebleu's strict ``>`` gives the smallest possible p to a system against
    itself; wherever no trial ties, the two agree. So does a trial whose difference is no number.
    """
    differences = np.abs(formula(pseudo[0]) - formula(pseudo[1]))
    reached = int(np.sum(~(differences < abs(observed) - 1e-9)))
    return (1 + reached) / (len(differences) + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the family-wise error rate (Holm 1979), in the given order."""
    m = len(p_values)
    adjusted, highest = [0.0] * m, 0.0
    for rank, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (m - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the false discovery rate (Benjamini & Hochberg 1995)."""
    m = len(p_values)
    adjusted, lowest = [0.0] * m, 1.0
    for rank, index in enumerate(sorted(range(m), key=lambda i: p_values[i], reverse=True)):
        lowest = min(lowest, p_values[index] * (m / (m - rank)))
        adjusted[index] = lowest
    return adjusted


def detectable_effect(stderr: float, tests: int) -> float:
    """Return the difference found with 80 % power at the Bonferroni level of ``tests`` tests.

    Two-sided normal approximation: (z(1 - alpha / 2m) + z(0.8)) standard errors.
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - ALPHA / (2 * tests)) + normal.inv_cdf(0.8)) * stderr


def simultaneous(delta: float, stderr: float, tests: int) -> tuple[float, float]:
    """Return an interval that holds at 95 % for all of ``tests`` differences together.

    Bonferroni, normal approximation: z(1 - alpha / 2m) standard errors either way.
    """
    reach = NormalDist().inv_cdf(1 - ALPHA / (2 * tests)) * stderr
    return delta - reach, delta + reach


def check_resolution(trials: int, tests: int) -> None:
    """Refuse a number of trials whose smallest p-value cannot pass Holm's first step.

    Raises:
        UserError: (trials + 1) * alpha < tests; the message says how many are needed.
    """
    if (trials + 1) * ALPHA < tests:
        needed = math.ceil(tests / ALPHA) - 1
        raise UserError(
            f"{trials} trials cannot resolve {tests} tests: no difference could pass the "
            f"correction; use --trials {needed} or more"
        )


def resolvable(units: int, tests: int) -> bool:
    """Return whether so many documents or segments can be swapped in enough ways for Holm.

    Of 2^n ways, one and its opposite are the observed difference: no p is below 2^(1 - n).
    """
    return 2.0 ** (1 - units) * tests <= ALPHA


def hierarchical_means(samples: Floats) -> Floats:
    """Return means over resampled languages; ``samples`` has shape (resamples, languages)."""
    resamples, members = samples.shape
    drawn = np.random.default_rng(SEED).integers(members, size=(resamples, members))
    means: Floats = np.take_along_axis(samples, drawn, axis=1).mean(axis=1)
    return means


@functools.lru_cache(maxsize=4)
def _weights(n: int, resamples: int) -> Floats:
    """How often each segment is in each resample; the indices are sacrebleu's ``rng.choice``."""
    drawn = np.random.default_rng(SEED).choice(n, size=(resamples, n), replace=True)
    flat = (drawn + n * np.arange(resamples)[:, None]).ravel()
    return np.bincount(flat, minlength=resamples * n).reshape(resamples, n).astype(np.float64)


@functools.lru_cache(maxsize=4)
def _signs(n: int, trials: int) -> npt.NDArray[np.bool_]:
    return np.random.default_rng(SEED).integers(2, size=(trials, n), dtype=bool)
