"""The tests and intervals against sacrebleu's, published examples and their own properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest, _bootstrap_resample, estimate_ci

from bayling_eval import sources, statistics
from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec, Segments, make

# Benjamini & Hochberg 1995, section 3.2: 15 hypotheses on myocardial infarction.
BH_1995 = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
BH_1995 += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)
ADJUSTMENTS = pytest.mark.parametrize(
    "adjust", [statistics.holm, statistics.benjamini_hochberg], ids=["holm", "bh"]
)
rate = make(MetricSpec("empty_rate")).aggregate


def p_value(formula, candidate, baseline, trials=2000):
    observed = float(formula(candidate.sum(axis=0)) - formula(baseline.sum(axis=0)))
    pseudo = statistics.trial_sums(candidate, baseline, trials)
    return statistics.randomisation_p(formula, observed, pseudo)


def rates(values):
    """Return the statistics of a rate: what counts, and 1, for each segment."""
    return np.column_stack([values, np.ones(len(values))]).astype(np.float64)


# Against sacrebleu on real outputs.


@pytest.fixture(scope="module")
def livonian(data_dir):
    """References and systems of WMT22 en-liv, 420 segments."""
    root = data_dir / "wmt22/txt"
    named = {
        name: list(
            sources.read_lines(root / f"system-outputs/generaltest2022.en-liv.hyp.{name}.liv")
        )
        for name in ("TartuNLP", "TAL-SJTU", "HuaweiTSC", "Liv4ever")
    }
    reference = sources.read_lines(root / "references/generaltest2022.en-liv.ref.A.liv")
    return list(reference), named


@pytest.fixture(autouse=True)
def default_seed(monkeypatch):
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)


METRICS = pytest.mark.parametrize(
    ("name", "theirs"), [("bleu", BLEU(force=True)), ("chrf++", CHRF(word_order=2))]
)


def counted(name, hypotheses, reference):
    segments = Segments("liv_Latn", hypotheses, {"ref": reference})
    return make(MetricSpec(name)).statistics(segments).values


@pytest.mark.data
@METRICS
def test_randomisation_is_sacrebleus_where_no_trial_ties(livonian, name, theirs):
    reference, named = livonian
    trials = 1000
    test = PairedTest(list(named.items()), {name: theirs}, [reference], "ar", trials)
    _, found = test()
    results = next(value for key, value in found.items() if key != "System")[1:]
    formula = make(MetricSpec(name)).aggregate
    baseline, *others = (counted(name, lines, reference) for lines in named.values())
    for candidate, result in zip(others, results, strict=True):
        observed = float(formula(candidate.sum(axis=0)) - formula(baseline.sum(axis=0)))
        pseudo = statistics.trial_sums(candidate, baseline, trials)
        distance = np.abs(formula(pseudo[0]) - formula(pseudo[1])) - abs(observed)
        assert np.abs(distance).min() > 1e-6
        assert statistics.randomisation_p(formula, observed, pseudo) == result.p_value
    # Otherwise every p would be the smallest possible, and equal whatever was drawn.
    assert any(result.p_value > 2 / (trials + 1) for result in results)


@pytest.mark.data
@METRICS
def test_a_system_against_itself_has_p_1_where_sacrebleu_calls_it_significant(
    livonian, name, theirs
):
    reference, named = livonian
    lines = named["TartuNLP"]
    _, found = PairedTest([("a", lines), ("b", lines)], {name: theirs}, [reference], "ar", 100)()
    assert next(v for k, v in found.items() if k != "System")[1].p_value == 1 / 101
    own = counted(name, lines, reference)
    assert p_value(make(MetricSpec(name)).aggregate, own, own) == 1.0


@pytest.mark.data
@METRICS
def test_bootstrap_is_sacrebleus(livonian, name, theirs):
    reference, named = livonian
    own = counted(name, named["TartuNLP"], reference)
    _, scores = _bootstrap_resample(own.astype(int).tolist(), theirs, 1000)
    expected = np.array([score.score for score in scores])
    samples = make(MetricSpec(name)).aggregate(statistics.bootstrap_sums(own))
    # sacrebleu sums and divides in single precision.
    assert samples == pytest.approx(expected, rel=1e-5)
    mean, half_width = estimate_ci(expected)
    assert samples.mean() == pytest.approx(mean, rel=1e-5)
    low, high = statistics.interval(samples)
    ordered = np.sort(samples)
    # sacrebleu takes the 26th lowest and highest; a quantile lies between it and its neighbour.
    assert ordered[24] <= low <= ordered[25]
    assert ordered[974] <= high <= ordered[975]
    slack = ordered[25] - ordered[24] + ordered[975] - ordered[974] + 1e-4
    assert (high - low) / 2 == pytest.approx(half_width, abs=slack)


# The randomisation test.


def test_one_changed_segment_of_200_is_not_significant():
    baseline = np.zeros(200)
    candidate = baseline.copy()
    candidate[7] = 1
    assert p_value(rate, rates(candidate), rates(baseline), 10_000) == 1.0


def test_a_single_segment_is_never_significant():
    one, other = rates([1]), rates([0])
    assert p_value(rate, one, other) == 1.0
    assert set(rate(statistics.bootstrap_sums(one, 10))) == {1.0}


def test_a_difference_in_every_segment_has_the_smallest_p():
    assert p_value(rate, rates([1] * 50), rates([0] * 50), 999) == 1 / 1000


def test_p_is_near_the_exact_one():
    """10 changed segments, all for the better: 2 of the 2**10 swaps reach the difference."""
    candidate, baseline = rates([1] * 10 + [0] * 90), rates([0] * 100)
    exact = 2 / 2**10
    # Three standard errors of 10,000 trials.
    assert p_value(rate, candidate, baseline, 10_000) == pytest.approx(
        exact, abs=3 * math.sqrt(exact / 10_000) + 1 / 10_001
    )


VALUES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_p_is_a_probability_and_symmetric(pairs):
    candidate, baseline = (rates(column) for column in zip(*pairs, strict=True))
    found = p_value(rate, candidate, baseline, 200)
    assert 0 < found <= 1
    assert found == p_value(rate, baseline, candidate, 200)
    if candidate.sum() == baseline.sum():
        assert found == 1.0


def test_a_tie_counts_against_a_difference_despite_rounding():
    differences = (np.array([0.3, 0.1, 0.0]), np.zeros(3))
    # 0.1 + 0.2 is a little more than 0.3.
    assert statistics.randomisation_p(lambda sums: sums, 0.1 + 0.2, differences) == 2 / 4
    assert statistics.randomisation_p(lambda sums: sums, -0.3, differences) == 2 / 4


@pytest.mark.parametrize("trials", [1, 999, 1000, 1001, 2500])
def test_any_number_of_trials_swaps_whole_segments(trials):
    """Both pseudo systems together are both systems, and each holds one output a segment."""
    rng = np.random.default_rng(3)
    candidate, baseline = rng.integers(0, 50, (2, 7, 3)).astype(np.float64)
    one, other = statistics.trial_sums(candidate, baseline, trials)
    assert one.shape == other.shape == (trials, 3)
    assert (one + other == candidate.sum(axis=0) + baseline.sum(axis=0)).all()
    possible = {
        tuple(np.where(np.array(swap)[:, None], baseline, candidate).sum(axis=0))
        for swap in np.ndindex(*(2,) * 7)
    }
    assert {tuple(row) for row in one} <= possible
    assert trials < 1000 or len({tuple(row) for row in one}) > 100


# The bootstrap.


def test_directions_of_equal_length_get_the_same_draws():
    rng = np.random.default_rng(2)
    one, other = rng.integers(0, 50, (2, 30, 4)).astype(np.float64)
    sums = statistics.bootstrap_sums
    assert (sums(one) + sums(other) == sums(one + other)).all()
    assert (sums(one) == sums(one)).all()
    moved = [statistics.trial_sums(x, np.zeros_like(x), 100)[1] for x in (one, other, one + other)]
    assert (moved[0] + moved[1] == moved[2]).all()


def test_a_resample_has_as_many_segments_as_the_corpus():
    sums = statistics.bootstrap_sums(np.column_stack([np.ones(37), np.arange(37)]), 500)
    assert sums.shape == (500, 2)
    assert (sums[:, 0] == 37).all()
    assert sums[:, 1].std() > 0


def test_the_statistics_are_not_changed():
    own = rates([1, 0, 1])
    before = own.copy()
    statistics.bootstrap_sums(own)[:] = -1
    statistics.trial_sums(own, own + 1, 10)[0][:] = -1
    assert (own == before).all()
    assert (statistics.bootstrap_sums(own) >= 0).all()


def test_interval_is_the_middle_95_percent():
    # Linear interpolation between order statistics (Hyndman & Fan 1996, type 7).
    assert statistics.interval(np.arange(1001.0)[::-1]) == pytest.approx((25, 975))


def test_a_standard_error_is_that_of_the_theory():
    """A mean of 400 values of variance 1/4 has standard error 1/40."""
    samples = rate(statistics.bootstrap_sums(rates([0, 1] * 200)))
    assert samples.std() == pytest.approx(1 / 40, rel=0.1)


@pytest.mark.parametrize("members", [1, 5, 40])
def test_hierarchical_means_resample_languages_within_each_resample(members):
    samples = np.random.default_rng(4).normal(size=(300, members))
    means = statistics.hierarchical_means(samples)
    assert means.shape == (300,)
    assert (means >= samples.min(axis=1) - 1e-12).all()
    assert (means <= samples.max(axis=1) + 1e-12).all()
    assert (means == statistics.hierarchical_means(samples)).all()
    assert (members == 1) == np.allclose(means, samples.mean(axis=1))


def test_hierarchical_means_are_wider_than_means_where_languages_differ():
    samples = np.tile(np.arange(10.0), (1000, 1))
    # Means of 10 draws from 0..9: variance 8.25 / 10.
    assert statistics.hierarchical_means(samples).std() == pytest.approx(0.908, rel=0.1)


# The corrections.


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        # R 4: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm"); by hand 0.005 * 4, 0.01 * 3, 0.03 * 2,
        # and 0.04 * 1 raised to its predecessor.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, expected):
    assert statistics.holm(p_values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        # R 4: p.adjust(c(0.01, 0.04, 0.03, 0.005), "BH"); by hand 0.005 * 4 / 1, 0.01 * 4 / 2,
        # 0.03 * 4 / 3, 0.04 * 4 / 4.
        ([0.01, 0.04, 0.03, 0.005], [0.02, 0.04, 0.04, 0.02]),
        ([0.9, 0.001, 0.9], [0.9, 0.003, 0.9]),
        ([0.02], [0.02]),
        ([0.02, 0.02, 0.02], [0.02, 0.02, 0.02]),
        ([], []),
    ],
)
def test_benjamini_hochberg_by_hand(p_values, expected):
    assert statistics.benjamini_hochberg(p_values) == pytest.approx(expected)


def test_both_corrections_on_the_published_example():
    """The paper rejects the four smallest under FDR 0.05; a family-wise procedure three."""
    fdr, fwer = statistics.benjamini_hochberg(BH_1995), statistics.holm(BH_1995)
    assert [p <= 0.05 for p in fdr] == [True] * 4 + [False] * 11
    assert [p <= 0.05 for p in fwer] == [True] * 3 + [False] * 12
    # By hand: 0.0095 * 15 / 4 and 0.0095 * 12.
    assert (fdr[3], fwer[3]) == pytest.approx((0.035625, 0.114))


@ADJUSTMENTS
@settings(deadline=None)
@given(p_values=P_VALUES)
def test_adjusting_never_makes_p_smaller_nor_more_than_1(adjust, p_values):
    assert all(p <= q <= 1 for p, q in zip(p_values, adjust(p_values), strict=True))


@ADJUSTMENTS
@settings(deadline=None)
@given(p_values=P_VALUES)
def test_adjusting_keeps_the_order(adjust, p_values):
    ordered = [q for _, q in sorted(zip(p_values, adjust(p_values), strict=True))]
    assert ordered == sorted(ordered)


@ADJUSTMENTS
@settings(deadline=None)
@given(p_values=P_VALUES, seed=st.randoms(use_true_random=False))
def test_adjusting_does_not_depend_on_the_order_given(adjust, p_values, seed):
    before = list(zip(p_values, adjust(p_values), strict=True))
    seed.shuffle(shuffled := list(p_values))
    after = list(zip(shuffled, adjust(shuffled), strict=True))
    assert sorted(before) == sorted(after)


@settings(deadline=None)
@given(P_VALUES)
def test_the_false_discovery_rate_is_the_milder_correction(p_values):
    pairs = zip(statistics.benjamini_hochberg(p_values), statistics.holm(p_values), strict=True)
    assert all(fdr <= fwer * (1 + 1e-12) for fdr, fwer in pairs)


# Power and resolution.


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        # Tables of the normal distribution: z(0.975) = 1.959964, z(0.8) = 0.841621,
        # z(0.9975) = 2.807034, z(0.99975) = 3.480756.
        (1, 1.959964 + 0.841621),
        (10, 2.807034 + 0.841621),
        (100, 3.480756 + 0.841621),
    ],
)
def test_detectable_effect(tests, expected):
    assert statistics.detectable_effect(1.0, tests) == pytest.approx(expected, abs=2e-6)
    assert statistics.detectable_effect(0.25, tests) == pytest.approx(expected / 4, abs=2e-6)
    assert statistics.detectable_effect(0.0, tests) == 0


@pytest.mark.parametrize(
    ("trials", "tests"), [(19, 1), (10_000, 500), (999, 50), (10_000, 1), (4079, 204), (0, 0)]
)
def test_enough_trials_pass(trials, tests):
    statistics.check_resolution(trials, tests)
    # The smallest p that there is passes Holm's first step.
    assert tests == 0 or statistics.holm([1 / (trials + 1)] * tests)[0] <= statistics.ALPHA


@pytest.mark.parametrize(
    ("trials", "tests"), [(18, 1), (999, 51), (10_000, 501), (4078, 204), (1, 1)]
)
def test_too_few_trials_are_refused(trials, tests):
    with pytest.raises(UserError) as caught:
        statistics.check_resolution(trials, tests)
    message = str(caught.value)
    assert message.startswith(f"{trials} trials cannot resolve {tests} tests: ")
    assert statistics.holm([1 / (trials + 1)] * tests)[0] > statistics.ALPHA


@pytest.mark.parametrize("tests", [1, 2, 3, 7, 50, 204, 405, 499, 1000, 41_412])
def test_the_number_of_trials_named_is_what_is_needed(tests):
    with pytest.raises(UserError, match=r"use --trials \d+ or more") as caught:
        statistics.check_resolution(0, tests)
    needed = int(str(caught.value).split("--trials ")[1].split()[0])
    statistics.check_resolution(needed, tests)
    with pytest.raises(UserError):
        statistics.check_resolution(needed - 1, tests)
