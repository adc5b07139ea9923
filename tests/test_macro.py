"""Averages of differences: what they average, what they leave out, and how they are weighted."""

import numpy as np
import pytest

from bayling_eval import languages
from bayling_eval.errors import UserError
from bayling_eval.macro import Difference, Grouping, Weights, averages, check_grouping, language_of
from bayling_eval.records import Comparison

TARGETS = ["deu_Latn", "fra_Latn", "tha_Thai", "swh_Latn", "hin_Deva", "zho_Hans"]
DELTAS = dict(zip(TARGETS, [1.0, -2.0, 0.5, 3.0, 0.25, -1.0], strict=True))


def difference(src: str, tgt: str, delta: float | None, **fields) -> Difference:
    """One row; its resamples lie around the difference."""
    row = Comparison(
        **{
            "task": f"flores200_{src}-{tgt}",
            "family": "flores200",
            "src_lang": src,
            "tgt_lang": tgt,
            "lang": None,
            "metric": "chrf++",
            "signature": "sig",
            "candidate": "new",
            "baseline": "old",
            "delta": delta,
            "verdict": "missing" if delta is None else "no_change",
            "settings_diff": [],
            **fields,
        }
    )
    if delta is None:
        return Difference(row)
    draws = np.random.default_rng(sum(map(ord, src + tgt))).normal(0, 0.2, 400)
    return Difference(row, delta + draws)


@pytest.fixture
def both_sides() -> list[Difference]:
    """English to six languages, and from five of them back."""
    out = [difference("eng_Latn", lang, delta) for lang, delta in DELTAS.items()]
    return out + [difference(lang, "eng_Latn", 2 * DELTAS[lang]) for lang in TARGETS[:5]]


def test_a_mean_is_that_of_the_differences_of_its_group(both_sides):
    found = {row.group: row for row in averages(both_sides)}
    assert set(found) == {"flores200 all", "flores200 eng_Latn-x", "flores200 x-eng_Latn"}
    out, back = list(DELTAS.values()), [2 * DELTAS[lang] for lang in TARGETS[:5]]
    expected = {"eng_Latn-x": out, "x-eng_Latn": back, "all": out + back}
    for name, deltas in expected.items():
        row = found[f"flores200 {name}"]
        assert row.delta == pytest.approx(sum(deltas) / len(deltas))
        assert (row.n, row.n_expected, row.reason) == (len(deltas), len(deltas), None)
        assert row.ci_low < row.delta < row.ci_high
        # Languages drawn too: the wider interval holds the narrower one.
        assert row.population_ci_low < row.ci_low
        assert row.ci_high < row.population_ci_high


def test_a_missing_task_is_counted_and_not_averaged(both_sides):
    found = [*both_sides, difference("eng_Latn", "amh_Ethi", None)]
    before = {row.group: row for row in averages(both_sides)}
    for row in averages(found):
        old = before[row.group]
        assert (row.delta, row.ci_low, row.ci_high) == (old.delta, old.ci_low, old.ci_high)
    row = next(r for r in averages(found) if r.group == "flores200 eng_Latn-x")
    assert (row.n, row.n_expected) == (6, 7)
    assert row.reason == "1 of 7 tasks have no comparison"


def test_under_five_members_there_is_no_mean_but_the_members(both_sides):
    (row,) = (r for r in averages(both_sides[:4]) if r.by == "side")
    assert row.delta is row.ci_low is row.population_ci_low is row.clustered is None
    assert row.members == [one.row.task for one in both_sides[:4]]
    assert row.reason == "fewer than 5 tasks: no mean"


@pytest.mark.parametrize("metric", ["bleu", "ter"])
def test_bleu_and_ter_are_never_averaged(both_sides, metric):
    renamed = [
        Difference(d.row.model_copy(update={"metric": metric}), d.samples) for d in both_sides
    ]
    assert averages(renamed) == []
    assert len(averages([*renamed, *both_sides])) == len(averages(both_sides))


def test_metrics_keep_their_order(both_sides):
    other = [Difference(d.row.model_copy(update={"metric": "acc"}), d.samples) for d in both_sides]
    assert list(dict.fromkeys(r.metric for r in averages([*both_sides, *other]))) == [
        "chrf++",
        "acc",
    ]


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("script", {"Latn", "Thai", "Deva", "Hans"}),
        ("xlmr", {"covered"}),
        ("language-family", {"Indo-European", "Tai-Kadai", "Atlantic-Congo", "Sino-Tibetan"}),
    ],
)
def test_groups_by_what_the_table_says_of_the_language(both_sides, by, groups):
    rows = averages(both_sides, Grouping((by,)))
    assert {row.by for row in rows} == {by}
    assert {row.group.partition(f"{by}:")[2] for row in rows} == groups
    sides = [row.group.split()[1] for row in rows]
    assert {"eng_Latn-x", "x-eng_Latn"} == set(sides)
    assert sum(row.n for row in rows) == len(both_sides)


def test_bands_of_speakers_hold_every_language():
    many = [difference("eng_Latn", key, 0.1) for key in languages.table() if key != "eng_Latn"]
    rows = averages(many, Grouping(("speakers",)))
    names = {row.group.partition("speakers:")[2] for row in rows}
    assert names <= {"under 1M", "1M-10M", "10M-100M", "100M or more", "unknown"}
    assert sum(row.n for row in rows) == len(many)
    small = next(row for row in rows if row.group.endswith("under 1M"))
    speakers = [one.speakers for one in languages.table().values()]
    assert small.n == sum(n is not None and n < 10**6 for n in speakers)


@pytest.mark.parametrize(
    ("src", "tgt", "about"),
    [
        ("eng_Latn", "deu_Latn", "deu_Latn"),
        ("deu_Latn", "eng_Latn", "deu_Latn"),
        ("zho_Hans", "eng_Latn", "zho_Hans"),
        ("eng_Latn", "zho_Hans", "zho_Hans"),
        ("tha_Thai", "zho_Hans", "tha_Thai"),
        ("zho_Hans", "tha_Thai", "tha_Thai"),
        ("deu_Latn", "fra_Latn", "fra_Latn"),
    ],
)
def test_a_direction_is_about_the_language_that_is_no_pivot(src, tgt, about):
    assert language_of(difference(src, tgt, 0.0).row) == about


def test_a_weighted_mean_stands_beside_the_other(both_sides):
    weights = Weights("mine.csv", {"deu_Latn": 3.0, "fra_Latn": 1.0, "tha_Thai": 0.0})
    plain = averages(both_sides)
    weighted = averages(both_sides, Grouping(weights=weights))
    for row, other in zip(weighted, plain, strict=True):
        assert (row.delta, row.ci_low, row.ci_high) == (other.delta, other.ci_low, other.ci_high)
    row = next(r for r in weighted if r.group == "flores200 eng_Latn-x")
    assert row.weighted_delta == pytest.approx((3 * 1.0 + 1 * -2.0) / 4)
    assert row.weighted_ci_low < row.weighted_delta < row.weighted_ci_high
    # (3 + 1)^2 / (9 + 1); a weight of 0 is none.
    assert (row.effective_n, row.n_weighted, row.weights) == (pytest.approx(1.6), 2, "mine.csv")


def test_equal_weights_give_the_plain_mean(both_sides):
    weights = Weights("mine.csv", dict.fromkeys(TARGETS, 2.0))
    for row in averages(both_sides, Grouping(weights=weights)):
        assert row.weighted_delta == pytest.approx(row.delta)
        assert (row.weighted_ci_low, row.weighted_ci_high) == pytest.approx(
            (row.ci_low, row.ci_high)
        )
        assert row.effective_n == pytest.approx(row.n)


def test_without_any_weight_there_is_no_weighted_mean(both_sides):
    weights = Weights("mine.csv", {"amh_Ethi": 1.0})
    for row in averages(both_sides, Grouping(weights=weights)):
        assert row.weighted_delta is row.effective_n is None
        assert row.n_weighted == 0


def test_speakers_are_those_of_the_table():
    found = Weights.of("speakers").by_language
    assert found["deu_Latn"] == languages.table()["deu_Latn"].speakers
    assert all(number > 0 for number in found.values())


def test_weights_of_a_file(tmp_path):
    path = tmp_path / "weights.csv"
    path.write_text("language,weight\ndeu_Latn,2\ntha_Thai,0.5\n")
    assert Weights.of(str(path)).by_language == {"deu_Latn": 2.0, "tha_Thai": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deu_Latn,many", r":1: 'deu_Latn,many' is not language,weight"),
        ("deu_Latn,-1", r":1: .* is not language,weight"),
        ("deu_Latn,nan", r":1: .* is not language,weight"),
        ("deu_Latn", r":1: 'deu_Latn' is not language,weight"),
        ("deu_Latn,1\ndeu_Lat,1", r":2: unknown language 'deu_Lat'. Did you mean 'deu_Latn'"),
    ],
)
def test_a_bad_line_of_weights_is_named(tmp_path, text, message):
    path = tmp_path / "weights.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        Weights.of(str(path))


def test_weights_that_are_not_there():
    with pytest.raises(UserError, match="no weights 'speaker': write speakers, or a CSV file"):
        Weights.of("speaker")


def test_an_unknown_grouping_is_refused():
    with pytest.raises(UserError, match="unknown grouping 'scripts'. Did you mean 'script'"):
        check_grouping(["side", "scripts"])
    with pytest.raises(UserError, match="no source of resource levels"):
        check_grouping(["resource"])


def test_what_every_pair_has_is_a_row_of_its_own(both_sides):
    common = frozenset((one.row.task, "chrf++") for one in both_sides[:5])
    rows = averages(both_sides, common=common)
    assert {row.tasks for row in rows} == {"common"}
    row = next(r for r in rows if r.group == "flores200 eng_Latn-x")
    assert (row.n, row.n_expected) == (5, 5)
    assert row.delta == pytest.approx(sum(list(DELTAS.values())[:5]) / 5)


def test_clustered_is_said_where_all_members_are(both_sides):
    clustered = [
        Difference(d.row.model_copy(update={"clusters": 40}), d.samples) for d in both_sides
    ]
    assert {row.clustered for row in averages(clustered)} == {True}
    assert {row.clustered for row in averages([*clustered[:-1], both_sides[-1]])} == {True, False}
