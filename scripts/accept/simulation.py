"""The tests and intervals of `compare` keep what they promise, by simulation with a fixed seed.

Outputs are real: pairs of systems that translated the same WMT22 segments, of BayLing's repository
and of WMT22 itself. An A/A comparison gives the two outputs of each segment to either side at
random, so that no side is better. One sum of many columns serves all directions: swaps and
resamples are the same for all, as in `compare`. The figures stand in docs/statistics.md.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np
from common import DATA, expect

from bayling_eval import sources, statistics
from bayling_eval.metrics import MetricSpec, Segments, make
from bayling_eval.statistics import ALPHA, Floats, Formula, by_document

SEED = 2211
TESTS, SEGMENTS, TRIALS = 200, 1_000, 20_000
# Columns of one product: of 20,000 trials it is 77 MB.
_COLUMNS = 480
CHRF = make(MetricSpec("chrf++"))
# The mean of a column (value, 1): of accuracies, of COMET, of any sentence metric.
MEAN = make(MetricSpec("acc"))
BAYLING = {"cs-en": "B", "de-fr": "A", "en-cs": "B", "en-ja": "A", "uk-en": "A"}
# Of like quality, as a checkpoint and the next may be.
ALIKE = (
    ("bayling-7b", "bayling-13b"),
    ("gpt-3.5-turbo", "gpt-4"),
    ("google-translate", "gpt-4"),
    ("nllb-3.3b", "gpt-3.5-turbo"),
)
Texts = Sequence[str]
Pair = tuple[Floats, Floats]
Draw = np.random.Generator


def count(outputs: Texts, reference: Texts) -> Floats:
    return CHRF.statistics(Segments("", outputs, {"ref": reference})).values


@functools.cache
def translations() -> Mapping[str, tuple[Texts, Mapping[str, Texts]]]:
    """Return reference and outputs by system, of each direction."""
    root, found = DATA / "wmt22" / "txt", {}
    for pair, name in BAYLING.items():
        reference = root / "references" / f"generaltest2022.{pair}.ref.{name}.{pair[3:]}"
        files = {p.parent.name: p for p in (DATA / "bayling_wmt22").glob(f"*/{pair}.hypo")}
        found[pair] = _read(reference, files)
    for reference in sorted((root / "references").glob("*.ref.A.*")):
        pair = reference.name.split(".")[1]
        outputs = (root / "system-outputs").glob(f"generaltest2022.{pair}.hyp.*")
        files = {path.name.split(".hyp.")[1]: path for path in outputs}
        found[f"wmt {pair}"] = _read(reference, files)
    return found


def _read(reference: Path, files: Mapping[str, Path]) -> tuple[Texts, Mapping[str, Texts]]:
    outputs = {name: sources.read_lines(path) for name, path in sorted(files.items())}
    return sources.read_lines(reference), outputs


@functools.cache
def system_pairs() -> list[Pair]:
    """Return the statistics of 200 pairs of systems; a direction gives each two of its systems."""
    found = []
    for reference, outputs in translations().values():
        counted = [count(lines, reference) for lines in outputs.values()]
        found += list(itertools.combinations(counted, 2))
    return found[:TESTS]


def drawn(draw: Draw, pairs: Sequence[Pair], n: int = SEGMENTS) -> list[Pair]:
    """Return n segments of each pair, drawn with replacement."""
    rows = [draw.integers(len(one), size=n) for one, _ in pairs]
    return [(one[row], other[row]) for (one, other), row in zip(pairs, rows, strict=True)]


def exchanged(draw: Draw, pairs: Sequence[Pair]) -> list[Pair]:
    """Give either output of each segment to either side."""
    found = []
    for one, other in pairs:
        swapped = draw.integers(2, size=(len(one), 1), dtype=bool)
        found.append((np.where(swapped, other, one), np.where(swapped, one, other)))
    return found


def in_blocks(compared: Sequence[Pair]) -> Iterator[tuple[Pair, list[slice]]]:
    """Put comparisons side by side, as many as one product takes; with the columns of each."""
    width = compared[0][0].shape[1]
    for start in range(0, len(compared), size := _COLUMNS // width):
        some = compared[start : start + size]
        one, other = (np.hstack(side) for side in zip(*some, strict=True))
        yield (one, other), [slice(i * width, (i + 1) * width) for i in range(len(some))]


def p_values(formula: Formula, compared: Sequence[Pair], trials: int = TRIALS) -> list[float]:
    found = []
    for (one, other), columns in in_blocks(compared):
        pseudo = statistics.trial_sums(one, other, trials)
        totals = one.sum(axis=0), other.sum(axis=0)
        for own in columns:
            observed = float(formula(totals[0][own]) - formula(totals[1][own]))
            sums = pseudo[0][:, own], pseudo[1][:, own]
            found.append(statistics.randomisation_p(formula, observed, sums))
    return found


def resampled(formula: Formula, compared: Sequence[Pair]) -> list[Floats]:
    """Return the resampled differences of each comparison."""
    found = []
    for (one, other), columns in in_blocks(compared):
        sums = statistics.bootstrap_sums(one), statistics.bootstrap_sums(other)
        found += [formula(sums[0][:, own]) - formula(sums[1][:, own]) for own in columns]
    return found


# A/A: no side is better.


def means(pairs: Sequence[Pair], value: Callable[[Floats], Floats]) -> list[Pair]:
    """Return the statistics (value, 1) of a value of each segment's chrF++."""

    def columns(side: Floats) -> Floats:
        values = value(CHRF.aggregate(side))
        return np.column_stack([values, np.ones_like(values)])

    return [(columns(one), columns(other)) for one, other in pairs]


def hundredths(score: Floats) -> Floats:
    found: Floats = np.round(100 * score)
    return found


def right_or_wrong(score: Floats) -> Floats:
    return (score >= 50).astype(np.float64)


def few_differ(draw: Draw, pairs: Sequence[Pair]) -> list[Pair]:
    """Let all but 1 % of the segments be the same on both sides."""
    found = []
    for one, other in pairs:
        differs = np.zeros((len(one), 1), dtype=bool)
        differs[draw.choice(len(one), len(one) // 100, replace=False)] = True
        found.append((one, np.where(differs, other, one)))
    return found


def family_wise_errors() -> list[float]:
    """Test families of directions without a difference; return the last p-values of chrF++."""
    pairs = system_pairs()
    scored, right = means(pairs, hundredths), means(pairs, right_or_wrong)
    draw, found = np.random.default_rng(SEED), []
    for name, formula, known, repetitions in (
        ("mean of a sentence metric", MEAN.aggregate, scored, 200),
        ("the same where 1 % of the segments differ", MEAN.aggregate, scored, 50),
        ("accuracy, 0 or 1", MEAN.aggregate, right, 100),
        ("chrF++ of the corpus", CHRF.aggregate, pairs, 20),
    ):
        errors = alarms = 0
        for _ in range(repetitions):
            compared = drawn(draw, known)
            compared = few_differ(draw, compared) if "1 %" in name else compared
            found = p_values(formula, exchanged(draw, compared))
            errors += min(statistics.holm(found)) <= ALPHA
            alarms += sum(p <= ALPHA for p in found)
        rate, most = errors / repetitions, at_most(repetitions)
        expect(
            rate <= most,
            f"A/A, {name}: {errors} of {repetitions} families of {len(found)} have a false alarm "
            f"after Holm ({rate:.1%}; at most {most:.1%} may), "
            f"{alarms / repetitions / len(found):.2%} of single p are <= 0.05",
        )
    return found


def at_most(repetitions: int) -> float:
    """Return 5 % and two standard errors of its estimate."""
    return ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / repetitions)


# Few changed segments, intervals, clusters.


def few_changed(trials: int = 10_000) -> None:
    """Let 0 to 5 of 200 segments change, by whatever: never significant, even as a single test.

    Of the 2**k ways to swap k segments two at least reach the difference.
    """
    draw = np.random.default_rng(SEED)
    for changed in range(6):
        compared: list[Pair] = []
        for one, other in drawn(draw, system_pairs()[::4], 200):
            rows, candidate = draw.choice(200, changed, replace=False), one.copy()
            # Another system's output, or none at all: nothing but the reference's n-grams.
            nothing = np.where(np.arange(24) % 3 == 1, one[rows], 0)
            candidate[rows] = (other[rows], nothing)[len(compared) % 2]
            compared.append((candidate, one))
        lowest, exact = (
            min(p_values(CHRF.aggregate, compared, trials)),
            min(1.0, 2.0 ** (1 - changed)),
        )
        error = math.sqrt(exact * (1 - exact) / trials)
        expect(
            lowest > max(ALPHA, exact - 5 * error - 1e-9),
            f"{changed} of 200 segments changed: p of chrF++ is at least {lowest:.4f} in "
            f"{len(compared)} tests, exactly {exact:.4f}",
        )


def coverage(formula: Formula, compared: Sequence[Pair], truth: Sequence[float]) -> float:
    """Return how many intervals hold the true difference."""
    ends = [statistics.interval(samples) for samples in resampled(formula, compared)]
    return float(np.mean([low <= t <= high for (low, high), t in zip(ends, truth, strict=True)]))


def within(name: str, share: float) -> None:
    expect(0.93 <= share <= 0.97, f"95 % intervals, {name}: {share:.1%} hold the true difference")


def runs_away(side: Floats) -> bool:
    """Return whether one output holds more than 1 % of a system's characters."""
    return bool(side[:, 0].max() > 0.01 * side[:, 0].sum())


def independent_segments() -> None:
    """Draw 1,000 segments of real pairs: all segments of a pair are the population."""
    draw = np.random.default_rng(SEED)
    steady = [pair for pair in system_pairs() if not any(map(runs_away, pair))]
    others = [pair for pair in system_pairs() if any(map(runs_away, pair))]

    def share(formula: Formula, known: Sequence[Pair]) -> float:
        truth = [float(formula(a.sum(axis=0)) - formula(b.sum(axis=0))) for a, b in known]
        return coverage(formula, drawn(draw, known), truth)

    of = f"{len(steady)} pairs 10 times"
    within(
        f"mean of a sentence metric, {of}", share(MEAN.aggregate, means(steady * 10, hundredths))
    )
    within(f"chrF++, {of}", share(CHRF.aggregate, steady * 10))
    away = share(CHRF.aggregate, others * 10)
    expect(
        away < 0.93,
        f"the same of {len(others)} pairs in which one output holds over 1 % of a system's "
        f"characters: only {away:.1%}",
    )


def clustered_segments() -> None:
    """Draw 250 documents of 4 segments whose differences correlate by 0.3, without a difference."""
    draw, documents = np.random.default_rng(SEED), np.repeat(np.arange(250, dtype=np.int32), 4)
    shared = draw.normal(size=(2_000, 250))[:, documents] * math.sqrt(0.3)
    values = shared + draw.normal(size=shared.shape) * math.sqrt(0.7)
    ones = np.ones(len(documents))
    alone = [(np.column_stack([v, ones]), np.column_stack([0 * v, ones])) for v in values]
    whole = [(by_document(one, documents), by_document(other, documents)) for one, other in alone]
    truth = [0.0] * len(values)
    within("2,000 sets of 250 documents drawn as wholes", coverage(MEAN.aggregate, whole, truth))
    narrow = coverage(MEAN.aggregate, alone, truth)
    expect(narrow < 0.9, f"the same with segments drawn one by one: only {narrow:.1%} hold it")
    alarms = [
        float(np.mean(np.array(p_values(MEAN.aggregate, compared, 2_000)) <= ALPHA))
        for compared in (whole, alone)
    ]
    expect(alarms[0] <= at_most(2_000), f"{alarms[0]:.1%} false alarms where documents are swapped")
    expect(alarms[1] > 0.1, f"{alarms[1]:.1%} false alarms where segments are swapped one by one")


# Power.


@functools.cache
def damaged() -> list[tuple[Floats, Floats, Floats]]:
    """Return statistics of a system, of another, and of the former's outputs cut in the middle."""
    found = []
    for pair in BAYLING:
        reference, outputs = translations()[pair]
        for one, other in ALIKE:
            cut = [line[: len(line) // 2] for line in outputs[one]]
            whole, others = (count(outputs[name], reference) for name in (one, other))
            if not runs_away(whole) and not runs_away(others):
                found.append((whole, others, count(cut, reference)))
    return found


def lost(draw: Draw, reworded: float, effect: float, n: int = 1_012) -> list[Pair]:
    """Return comparisons in which the candidate lost ``effect`` chrF++ on average.

    Both sides are one system, but for a share of segments where one of them, at random, has another
    system's wording. In as many segments as it takes the candidate's output is cut in the middle.
    """
    found = []
    for one, other, cut in damaged():
        rows = draw.integers(len(one), size=n)
        swap, chance = draw.random((2, n, 1))
        candidate = np.where(swap < reworded / 2, other[rows], one[rows])
        baseline = np.where((swap >= reworded / 2) & (swap < reworded), other[rows], one[rows])
        expected = (1 - reworded / 2) * one.sum(axis=0) + reworded / 2 * other.sum(axis=0)
        shares = np.linspace(0, 1, 1_001)
        sums = np.outer(1 - shares, expected) + np.outer(shares, cut.sum(axis=0))
        cuts = np.interp(effect, CHRF.aggregate(expected) - CHRF.aggregate(sums), shares)
        found.append((np.where(chance < cuts, cut[rows], candidate), baseline))
    return found


def power(nulls: Sequence[float]) -> None:
    """Find a loss in one of 200 directions of 1,012 segments, after Holm."""
    draw = np.random.default_rng(SEED)
    for name, reworded, least in (
        ("nothing else changed", 0.0, 0.8),
        ("10 % of the segments reworded", 0.1, 0.8),
        ("30 % reworded", 0.3, 0.0),
        ("all reworded", 1.0, 0.0),
    ):
        # Where few changes are no losses, their sums are skewed, and more is found than foretold.
        over = 0.06 if reworded >= 0.3 else 1.0
        found, foretold, detectable = simulated(draw, reworded, 1.0, nulls)
        expect(
            found >= least and foretold - 0.06 <= found <= foretold + over,
            f"a loss of 1 chrF++, {name}: found in {found:.0%}, foretold {foretold:.0%}",
        )
        found, _, _ = simulated(draw, reworded, detectable, nulls)
        expect(
            0.74 <= found <= 0.8 + over,
            f"a loss of the detectable effect, {detectable:.2f}, {name}: found in {found:.0%}",
        )


def simulated(
    draw: Draw, reworded: float, effect: float, nulls: Sequence[float]
) -> tuple[float, float, float]:
    """Return how many of 400 losses are found, how many should be, and the detectable effect."""
    compared = [pair for _ in range(400 // len(damaged())) for pair in lost(draw, reworded, effect)]
    family = list(nulls[: TESTS - 1])
    seen = [statistics.holm([p, *family])[0] <= ALPHA for p in p_values(CHRF.aggregate, compared)]
    errors = np.array([s.std(ddof=1) for s in resampled(CHRF.aggregate, compared)])
    needed = np.array([statistics.detectable_effect(float(error), TESTS) for error in errors])
    # What is found in 80 % lies z(0.8) standard errors above what is found in half.
    normal = NormalDist()
    over = (effect - needed) / errors + normal.inv_cdf(0.8)
    foretold = np.mean([normal.cdf(z) for z in over.tolist()])
    return float(np.mean(seen)), float(foretold), float(np.median(needed))


def main() -> None:
    print(f"     seed {SEED}, {TRIALS:,} trials, {TESTS} directions of {SEGMENTS:,} segments")
    expect(len(system_pairs()) == TESTS, f"{TESTS} pairs of real systems")
    for step in (few_changed, independent_segments, clustered_segments):
        step()
    power(family_wise_errors())


if __name__ == "__main__":
    main()
