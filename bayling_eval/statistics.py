"""Intervals, paired tests and corrections, over per-segment sufficient statistics; pure numpy.

Statistics come as arrays of shape (segments, k); a metric's formula takes sums of shape (..., k).
The same random draws serve every direction with the same number of segments, so that resamples of
a multi-parallel test set are paired across its languages.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bayling_eval.errors import UserError
from bayling_eval.method import RESAMPLES, TRIALS

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]
Formula = Callable[[Floats], Floats]

# sacrebleu's (sacrebleu/significance.py), so that its resamples and trials are ours.
SEED = 12345
ALPHA = 0.05
FDR = 0.10
# Tasks are drawn some at a time, so that a pass over the swaps (81 MB for 20,000 trials of 1,012
# segments) serves several: of 544 columns at once a task costs half of what it does alone.
_COLUMNS = 500
# Whole numbers up to here add up without error in single precision, at twice the speed.
_EXACT = 2**24
# Else draws become numbers in double precision some at a time: all of them take 163 MB.
_BLOCK = 1_000
# What ``nearly`` may be off by, with much to spare; nearer than this the formula itself decides.
_NEAR = 1e-6


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
    return _product(_weights(len(statistics), resamples), statistics)


def interval(samples: Floats) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrap samples."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)


def trial_sums(candidate: Floats, baseline: Floats, trials: int = TRIALS) -> tuple[Floats, Floats]:
    """Return the sums of both pseudo systems of each randomisation trial, each (trials, k).

    Each trial swaps the two systems' outputs on a random half of the segments (Noreen 1989), drawn
    as in sacrebleu 2.6.0 ``_paired_ar_test`` with the same seed.
    """
    moved = _product(_signs(len(candidate), trials), baseline - candidate)
    return candidate.sum(axis=0) + moved, baseline.sum(axis=0) - moved


def randomisation_p(
    formula: Formula,
    observed: float,
    pseudo: tuple[Floats, Floats],
    nearly: Formula | None = None,
) -> float:
    """Return the two-sided p-value of a difference against its randomisation trials.

    p = (1 + #{|T*| >= |T| - 1e-9}) / (trials + 1): a trial that ties with the observed difference
    counts against it. sacrebleu's strict ``>`` gives the smallest possible p to a system against
    itself; wherever no trial ties, the two agree. So does a trial whose difference is no number.
    ``nearly`` is a quicker formula, off by less than 1e-6 or no number: it settles the trials that
    are clear, and p is the same.
    """
    found = np.abs(_differences(nearly or formula, pseudo))
    least = abs(observed) - 1e-9
    if nearly:
        unclear = np.flatnonzero(~(np.abs(found - least) > _NEAR))
        found[unclear] = np.abs(_differences(formula, (pseudo[0][unclear], pseudo[1][unclear])))
    return (1 + int(np.sum(~(found < least)))) / (len(found) + 1)


def resampled(
    formula: Formula, statistics: Sequence[Floats], resamples: int = RESAMPLES
) -> list[Floats]:
    """Return the scores of the bootstrap resamples of each, shape (resamples,)."""
    found = [np.zeros(0)] * len(statistics)
    for row, sums in _products(functools.partial(_weights, resamples=resamples), statistics):
        found[row] = formula(sums)
    return found


def randomisation_ps(
    formula: Formula,
    tested: Sequence[tuple[float, Floats, Floats]],
    trials: int = TRIALS,
    nearly: Formula | None = None,
) -> list[float]:
    """Return the p-value of each (difference, candidate, baseline), as one by one, but sooner."""
    found = [math.nan] * len(tested)
    differences = [baseline - candidate for _, candidate, baseline in tested]
    for row, moved in _products(functools.partial(_signs, trials=trials), differences):
        observed, candidate, baseline = tested[row]
        pseudo = candidate.sum(axis=0) + moved, baseline.sum(axis=0) - moved
        found[row] = randomisation_p(formula, observed, pseudo, nearly)
    return found


def _differences(formula: Formula, pseudo: tuple[Floats, Floats]) -> Floats:
    difference: Floats = formula(pseudo[0]) - formula(pseudo[1])
    return difference


def _products(
    draw: Callable[[int], Singles], statistics: Sequence[Floats]
) -> Iterator[tuple[int, Floats]]:
    """Multiply draws of segments by the statistics of each, which may come in another order."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for row, columns in enumerate(statistics):
        shapes.setdefault(columns.shape, []).append(row)
    for (n, width), rows in shapes.items():
        size = max(1, _COLUMNS // max(1, width))
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            product = _product(draw(n), np.column_stack([statistics[row] for row in some]))
            yield from zip(some, np.split(product, len(some), axis=1), strict=True)


def _product(draws: Singles, columns: Floats) -> Floats:
    """Multiply whole numbers by columns, in single precision where that is without error.

    The result lies column by column, as formulas read it.
    """
    product = np.zeros((columns.shape[1], len(draws)))
    # Of chrF++ a third of the columns count the reference, and do not differ between systems.
    used = columns.any(axis=0)
    some = columns[:, used]
    if _adds_up(draws, some):
        product[used] = some.astype(np.float32).T @ draws.T
    else:
        for start in range(0, len(draws), _BLOCK):
            block = slice(start, start + _BLOCK)
            product[used, block] = some.T @ draws[block].astype(np.float64).T
    return product.T


def _adds_up(draws: Singles, columns: Floats) -> bool:
    """Return whether no sum of draws has to be rounded in single precision."""
    largest = draws.max(initial=0) * np.abs(columns).sum(axis=0).max(initial=0)
    return bool(largest < _EXACT and (columns == np.rint(columns)).all())


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
def _weights(n: int, resamples: int) -> Singles:
    """How often each segment is in each resample; the indices are sacrebleu's ``rng.choice``."""
    drawn = np.random.default_rng(SEED).choice(n, size=(resamples, n), replace=True)
    flat = (drawn + n * np.arange(resamples)[:, None]).ravel()
    return np.bincount(flat, minlength=resamples * n).reshape(resamples, n).astype(np.float32)


@functools.lru_cache(maxsize=2)
def _signs(n: int, trials: int) -> Singles:
    drawn = np.random.default_rng(SEED).integers(2, size=(trials, n), dtype=bool)
    return drawn.astype(np.float32)
