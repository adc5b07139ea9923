"""sacrebleu's paired tests from kept statistics, held against ``PairedTest`` itself."""

import random

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from bayling_eval import significance
from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec, Segments, make
from bayling_eval.records import PlannedTask
from bayling_eval.significance import Draws, Paired, paired

THEIRS = {
    "bleu": lambda: BLEU(force=True),
    "chrf": CHRF,
    "chrf++": lambda: CHRF(word_order=2),
    "ter": TER,
}
METRICS = pytest.mark.parametrize("name", THEIRS)
TESTS = pytest.mark.parametrize("test", ["bs", "ar"])
WORDS = "the cat sat on a mat and saw ( seven ) small birds over there , then it slept .".split()


@pytest.fixture(autouse=True)
def default_seed(monkeypatch):
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)


def lines(draw, n, least=0):
    return [" ".join(draw.choices(WORDS, k=draw.randint(least, 12))) for _ in range(n)]


def changed(draw, texts):
    """Drop a word in ten, and add one to every other text."""
    kept = [[w for w in text.split() if draw.random() > 0.1] for text in texts]
    return [" ".join([*words, *draw.choices(WORDS, k=draw.randint(0, 1))]) for words in kept]


def corpus(n, references=1, seed=0):
    """Return references and systems; the first system is the baseline."""
    draw = random.Random(seed)
    refs = [lines(draw, n) for _ in range(references)]
    baseline = changed(draw, refs[0])
    systems = {
        "baseline": baseline,
        "the same": list(baseline),
        "as good": changed(draw, refs[0]),
        "a little other": changed(draw, baseline[: n // 3]) + baseline[n // 3 :],
        "other": lines(draw, n),
        "nothing": [""] * n,
        # chrF and TER of some resamples are numbers of Python, of others numpy's singles.
        "matches once": [baseline[0], *["Я"] * (n - 1)],
    }
    return refs, systems


def statistics(metric, refs, systems):
    named = {f"r{place}": texts for place, texts in enumerate(refs)}
    return {
        name: metric.statistics(Segments("eng_Latn", texts, named)).values
        for name, texts in systems.items()
    }


def both(name, refs, systems, test, samples):
    """Return what sacrebleu finds, and what we find from statistics."""
    _, found = PairedTest(list(systems.items()), {"m": THEIRS[name]()}, refs, test, samples)()
    (results,) = (value for key, value in found.items() if key != "System")
    metric = make(MetricSpec(name))
    baseline, *others = statistics(metric, refs, systems).items()
    expected = [Paired(r.score, r.mean, r.ci, r.p_value) for r in results]
    return expected, paired(metric, baseline[1], dict(others), test, samples)


# Against sacrebleu: dataclasses are equal where every number is, to the last bit.


@TESTS
@METRICS
@pytest.mark.parametrize("n", [1, 2, 60])
@pytest.mark.parametrize("references", [1, 2, 3])
def test_every_number_is_sacrebleus(name, test, n, references):
    refs, systems = corpus(n, references, seed=n)
    expected, found = both(name, refs, systems, test, 200)
    assert found == expected


@pytest.mark.data
@TESTS
@METRICS
def test_every_number_is_sacrebleus_on_real_outputs(data_dir, name, test):
    folder = data_dir / "wmt22/txt"

    def read(path):
        return (folder / path).read_text(encoding="utf-8").split("\n")[:100]

    refs = [read("references/generaltest2022.en-liv.ref.A.liv")]
    systems = {
        system: read(f"system-outputs/generaltest2022.en-liv.hyp.{system}.liv")
        for system in ("TartuNLP", "TAL-SJTU", "HuaweiTSC", "Liv4ever")
    }
    expected, found = both(name, refs, systems, test, 1000)
    assert found == expected
    # Otherwise every p would be the smallest, and equal whatever was drawn.
    assert any(one.p_value > 2 / 1001 for one in found[1:])


@TESTS
@METRICS
def test_samples_are_by_default_sacrebleus(name, test):
    refs, systems = corpus(5)
    two = dict(list(systems.items())[1:3])
    expected, found = both(name, refs, two, test, 0)
    assert found == expected


@TESTS
@METRICS
def test_sums_that_single_precision_rounds_are_added_in_the_same_order(name, test):
    """Counts as of 60 books; their sums are over 2^24."""
    metric = make(MetricSpec(name))
    refs, systems = corpus(60)
    given = {k: v * 1_000_003 for k, v in statistics(metric, refs, systems).items()}
    assert max(one.sum(axis=0).max() for one in given.values()) > 2**24

    scorer = THEIRS[name]()
    scorer.num_refs, scorer._extract_corpus_statistics = 1, lambda counts, _: counts
    lists = [
        (system, one.tolist() if name == "ter" else one.astype(int).tolist())
        for system, one in given.items()
    ]
    _, results = PairedTest(lists, {"m": scorer}, [["-"]], test, 200)()
    (expected,) = (value for key, value in results.items() if key != "System")
    baseline, *others = given.items()
    found = paired(metric, baseline[1], dict(others), test, 200)
    assert found == [Paired(r.score, r.mean, r.ci, r.p_value) for r in expected]


# The seed.


@pytest.mark.parametrize("seed", ["1", " 7 ", "12345"])
def test_the_seed_is_sacrebleus_variable(monkeypatch, seed):
    monkeypatch.setenv("SACREBLEU_SEED", seed)
    refs, systems = corpus(30)
    _, found = PairedTest(list(systems.items()), {"m": BLEU(force=True)}, refs, "bs", 200)()
    metric = make(MetricSpec("bleu"))
    baseline, *others = statistics(metric, refs, systems).values()
    others = dict(zip(list(systems)[1:], others, strict=True))
    assert significance.seed_given() == int(seed)
    ours = paired(metric, baseline, others, "bs", 200, significance.seed_given())
    assert [one.mean for one in ours] == [r.mean for r in found["BLEU"]]
    assert [one.p_value for one in ours] == [r.p_value for r in found["BLEU"]]
    other = paired(metric, baseline, others, "bs", 200, 999)
    assert [one.mean for one in other] != [one.mean for one in ours]


@pytest.mark.parametrize("text", ["None", "none", "0"])
def test_no_seed(monkeypatch, text):
    monkeypatch.setenv("SACREBLEU_SEED", text)
    assert significance.seed_given() is None


def test_the_seed_is_12345_where_none_is_given():
    assert significance.seed_given() == 12345


@pytest.mark.parametrize("text", ["", "-1", "twelve", "1.5", "²"])
def test_what_is_no_seed(monkeypatch, text):
    monkeypatch.setenv("SACREBLEU_SEED", text)
    with pytest.raises(UserError, match="SACREBLEU_SEED is a number from 0 on, or None; not"):
        significance.seed_given()


# Properties.


@TESTS
def test_a_system_against_itself_has_sacrebleus_smallest_p(test):
    refs, systems = corpus(20)
    metric = make(MetricSpec("bleu"))
    own = statistics(metric, refs, {"a": systems["baseline"]})["a"]
    assert paired(metric, own, {"a": own}, test, 99)[1].p_value == 1 / 100


@TESTS
def test_a_baseline_alone(test):
    refs, systems = corpus(20)
    metric = make(MetricSpec("chrf"))
    own = statistics(metric, refs, {"a": systems["baseline"]})["a"]
    (found,) = paired(metric, own, {}, test, 99)
    assert found.p_value is None
    assert found.value == metric.aggregate(own.sum(axis=0))


@TESTS
def test_statistics_in_any_order_of_memory(test):
    """Columns first is how some tables are read; sums over them must not be taken otherwise."""
    refs, systems = corpus(40, references=3)
    metric = make(MetricSpec("ter"))
    given = list(statistics(metric, refs, systems).values())
    usual, other = (
        paired(metric, one[0], dict(zip("abcdef", one[1:], strict=True)), test, 200)
        for one in (given, [np.asfortranarray(values) for values in given])
    )
    assert usual == other


# Rows.

PLANNED = PlannedTask(
    task="wmt22_eng_Latn-liv_Latn",
    family="wmt22",
    src_lang="eng_Latn",
    tgt_lang="liv_Latn",
    lang=None,
    n=20,
    answers_digest=None,
)


@TESTS
@METRICS
def test_rows_have_the_signature_of_sacrebleu(name, test):
    refs, systems = corpus(20, references=2)
    signatures, _ = PairedTest(list(systems.items()), {"m": THEIRS[name]()}, refs, test, 50)()
    metric = make(MetricSpec(name))
    given = statistics(metric, refs, systems)
    signature = metric.signature("eng_Latn", ["A", "B"])
    found = significance.rows(PLANNED, metric, signature, given, Draws(test, 50))
    assert {row.signature for row in found} == {f"{next(iter(signatures.values()))}|refs:A,B"}
    assert [row.system for row in found] == list(systems)
    assert [row.role for row in found] == ["baseline", *["system"] * 6]
    first = found[0].model_dump()
    assert first == first | {
        **{"task": PLANNED.task, "src_lang": "eng_Latn", "tgt_lang": "liv_Latn"},
        **{"metric": name, "p_value": None, "test": test, "samples": 50, "seed": 12345, "n": 20},
    }
    assert (found[1].mean is None) == (found[1].ci is None) == (test == "ar")


def test_without_a_seed_the_signature_says_none():
    assert Draws("ar", 10, None).signed("nrefs:1|case:lc") == "nrefs:1|ar:10|seed:none|case:lc"


# Faults.


def test_a_metric_that_sacrebleu_lacks():
    values = np.ones((3, 2))
    with pytest.raises(UserError, match="empty_rate: sacrebleu has no paired test of it"):
        paired(make(MetricSpec("empty_rate")), values, {"a": values}, "bs")


@TESTS
def test_no_segments(test):
    values = np.zeros((0, 10))
    with pytest.raises(UserError, match="no segments"):
        paired(make(MetricSpec("bleu")), values, {"a": values}, test)
