"""How systems are compared can be said: documents, minimum effects, settings that must agree."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from compare_lab import good
from conftest import SEGMENTS, sentences, spoil
from pydantic import ValidationError

from bayling_eval import plan, statistics, store, tables
from bayling_eval.compare import averaged, compare
from bayling_eval.errors import UserError
from bayling_eval.macro import Grouping
from bayling_eval.method import Method, minimum_effect

PAIR = "eng_Latn-deu_Latn"
# The invented data name a document for each three segments.
DOCUMENTS = SEGMENTS // 3


def one_direction(system, every: int = 2):
    """Two systems of one direction, the first worse."""
    worse = {PAIR: spoil(sentences("deu_Latn"), every, sentences("deu_Latn", 5)[0])}
    return system("worse", worse), system("better", {PAIR: sentences("deu_Latn")})


def rows(found, metric="chrf++"):
    return [row for row in found.rows if row.metric == metric]


def test_documents_are_kept_with_the_statistics(system):
    one, _ = one_direction(system)
    (cell,) = one.cells()
    for entry in tables.read_statistics(cell.verified(store.STATISTICS)):
        assert entry.documents.tolist() == [index // 3 for index in range(SEGMENTS)]


def test_documents_are_drawn_and_swapped_as_wholes(system):
    one, two = one_direction(system)
    (row,), (alone,) = (
        rows(compare(one, two)),
        rows(compare(one, two, method=Method(cluster="none"))),
    )
    assert (row.clusters, alone.clusters) == (DOCUMENTS, None)
    assert (row.n, row.delta) == (alone.n, pytest.approx(alone.delta))
    assert row.n == SEGMENTS
    # Every document lost something: of 2^10 ways to swap them, only both extremes reach it.
    trials = Method().trials
    assert 1 / 2**DOCUMENTS < row.p_value * (trials + 1) / trials < 4 / 2**DOCUMENTS
    assert alone.p_value < row.p_value
    assert alone.p_is_bound
    assert not row.p_is_bound


def test_sums_of_documents_are_those_of_their_segments():
    values = np.arange(12, dtype=np.float64).reshape(6, 2)
    summed = statistics.by_document(values, np.array([0, 1, 0, 2, 1, 0], dtype=np.int32))
    assert summed.tolist() == [[0 + 4 + 10, 1 + 5 + 11], [2 + 8, 3 + 9], [6, 7]]
    assert statistics.by_document(values, None) is values
    empty = statistics.by_document(np.zeros((0, 2)), np.zeros(0, dtype=np.int32))
    assert empty.shape == (0, 2)


def test_one_document_of_all_segments_says_nothing():
    values = np.random.default_rng(1).random((50, 2))
    summed = statistics.by_document(values, np.zeros(50, dtype=np.int32))
    pseudo = statistics.trial_sums(summed, np.zeros_like(summed), 100)
    assert statistics.randomisation_p(lambda sums: sums[..., 0], summed[0, 0], pseudo) == 1.0


def test_a_minimum_effect_of_ones_own(system):
    one, two = one_direction(system)
    (row,) = rows(compare(one, two))
    assert (row.verdict, row.minimum_effect) == ("regressed", 0.5)
    lenient = Method(min_effect={"chrf++": 100.0})
    (row,) = rows(compare(one, two, method=lenient))
    assert (row.verdict, row.minimum_effect) == ("below_minimum_effect", 100.0)
    assert {r.verdict for r in rows(compare(one, two, method=lenient), "chrf")} == {"regressed"}


def test_a_minimum_effect_of_an_unknown_metric_is_refused(system):
    one, two = one_direction(system)
    with pytest.raises(UserError, match=r"unknown metric 'chfr\+\+'"):
        compare(one, two, method=Method(min_effect={"chfr++": 1.0}))


@pytest.mark.parametrize(
    "given",
    [
        {"trials": 0},
        {"resamples": 10},
        {"cluster": "article"},
        {"min_effect": {"chrf++": -1.0}},
        {"min_effect": {"chrf++": float("nan")}},
        {"alpha": 0.1},
    ],
)
def test_a_method_that_cannot_be_is_refused(given):
    with pytest.raises(ValidationError):
        Method(**given)


def test_defaults_of_minimum_effects():
    assert minimum_effect("chrf++") == minimum_effect("spbleu-flores200") == 0.5
    assert minimum_effect("comet22") == 0.005
    assert minimum_effect("acc") == minimum_effect("empty_rate") == 0.01
    assert minimum_effect("mine.py:Mine") == 0.0


def test_strict_does_not_compare_what_may_have_been_asked_otherwise(system):
    one, two = one_direction(system)
    found = compare(one, two, method=Method(strict=True))
    assert {row.verdict for row in found.rows} == {"incomparable"}
    assert {row.delta for row in found.rows} == {None}
    # Of imported outputs nobody knows the settings.
    assert "settings of the candidate unknown" in found.rows[0].reason


def test_the_simultaneous_interval_is_wider_and_goes_with_the_correction(system):
    one, two = system("one", good(3)), system("two", good(5))
    found = rows(compare(one, two))
    assert len(found) == 6
    for row in found:
        assert row.simultaneous_ci_low < row.ci_low < row.ci_high < row.simultaneous_ci_high
        # z(1 - 0.05 / 12) = 2.638 standard errors.
        assert row.simultaneous_ci_high - row.delta == pytest.approx(2.638 * row.stderr, rel=1e-3)


def test_a_number_of_resamples_of_ones_own(system):
    one, two = one_direction(system)
    few, many = (
        compare(one, two, method=Method(resamples=n)).differences[0].samples for n in (100, 400)
    )
    assert (few.shape, many.shape) == ((100,), (400,))


def test_with_several_baselines_what_all_pairs_have_is_averaged_too(system):
    fewer = {pair: lines for pair, lines in good(5).items() if pair != PAIR}
    one, two, three = system("one", good()), system("two", good(3)), system("three", fewer)
    alone = compare(one, two)
    found = averaged([alone, compare(one, three)], Grouping())
    whole, part = (
        [m for m in pair.macro if m.metric == "chrf++" and m.group == "flores200 all"]
        for pair in found
    )
    # Another baseline moves no number of this pair.
    assert whole[0] == next(m for m in alone.macro if m.group == whole[0].group)
    assert [(m.tasks, m.n, m.n_expected) for m in whole] == [("pair", 6, 6), ("common", 5, 5)]
    # What the third system finished is what all have: one row says it.
    assert [(m.tasks, m.n, m.n_expected) for m in part] == [("pair", 5, 6)]
    assert averaged([alone], Grouping())[0].macro == alone.macro


def test_a_suite_says_how_its_systems_are_compared(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[tasks]]\nuse = "flores200"\n[compare]\ntrials = 20000\nmin_effect = {"chrf++" = 1.0}\n'
    )
    method = plan.load(str(path)).compare
    assert (method.trials, method.min_effect, method.cluster) == (
        20000,
        {"chrf++": 1.0},
        "document",
    )
    path.write_text('[[tasks]]\nuse = "flores200"\n[compare]\ntrails = 20000\n')
    with pytest.raises(
        UserError, match=r"mine.toml:4: unknown key 'trails'. Did you mean 'trials'"
    ):
        plan.load(str(path))


def test_too_few_documents_for_any_verdict_are_said(system):
    spoiled = good()
    for pair in spoiled:
        spoiled[pair] = ["nichts"] * SEGMENTS
    one, two = system("one", spoiled), system("two", good())
    # Six directions, ten documents: 6 / 2^9 is under 5 %.
    assert {row.verdict for row in rows(compare(one, two))} == {"regressed"}
    assert statistics.resolvable(10, 25)
    assert not statistics.resolvable(10, 26)
    assert not statistics.resolvable(5, 1)
    assert statistics.resolvable(6, 1)


def test_a_direction_of_too_few_documents_says_so(system, small_data):
    metadata = small_data / "flores200" / "flores200_dataset" / "metadata_devtest.tsv"
    lines = [f"https://example.org/{index // 10}\tnews" for index in range(SEGMENTS)]
    metadata.write_text("\n".join(["URL\tdomain", *lines, ""]))
    one, two = one_direction(system)
    (row,) = rows(compare(one, two))
    assert (row.verdict, row.clusters, row.detectable_effect) == ("no_change", 3, None)
    assert row.reason == "too few documents (3): no difference could pass the correction"
    (row,) = rows(compare(one, two, method=Method(cluster="none")))
    assert (row.verdict, row.reason) == ("regressed", None)


def test_one_segment_says_nothing(system, small_data):
    folder = small_data / "flores200" / "flores200_dataset"
    for path in (folder / "devtest").iterdir():
        path.write_text(path.read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")
    (folder / "metadata_devtest.tsv").unlink()
    one, two = system("one", {PAIR: ["nichts"]}), system("two", {PAIR: sentences("deu_Latn", 0, 1)})
    (row,) = rows(compare(one, two))
    assert (row.verdict, row.p_value, row.n) == ("no_change", 1.0, 1)
    assert row.reason == "too few segments (1): no difference could pass the correction"


def test_a_score_that_is_no_number_is_never_compared(system):
    one, two = one_direction(system)
    (cell,) = one.cells()
    entries = tables.read_statistics(cell.folder / store.STATISTICS)
    broken = [replace(e, values=np.full_like(e.values, np.nan)) for e in entries]
    content = tables.statistics_bytes(broken)
    (cell.folder / store.STATISTICS).write_bytes(content)
    manifest = cell.manifest()
    files = {**manifest.files, store.STATISTICS: hashlib.sha256(content).hexdigest()}
    store.save(cell.folder / store.MANIFEST, manifest.model_copy(update={"files": files}))
    found = compare(one, two)
    assert {row.verdict for row in found.rows} == {"incomparable"}
    assert {row.reason for row in found.rows} == {
        "worse: a count of a segment is no number: score it again"
    }
    assert {row.delta for row in found.rows} == {None}
