"""Two systems: what may be compared, what the tests say, and what is said of missing things."""

from pathlib import Path

import pytest
from compare_lab import DIRECTIONS, good
from conftest import SEGMENTS, sentences, spoil, write_lines

from bayling_eval import evaluate, plan, store
from bayling_eval.compare import compare
from bayling_eval.errors import UserError
from bayling_eval.imports import import_outputs
from bayling_eval.macro import group_of
from bayling_eval.method import Method
from bayling_eval.metrics import MetricSpec
from bayling_eval.records import Settings
from bayling_eval.sides import settings_diff


def verdicts(found, metric: str = "chrf++") -> dict[str, str]:
    return {f"{r.src_lang}-{r.tgt_lang}": r.verdict for r in found.rows if r.metric == metric}


def test_a_system_against_itself_shows_no_change(system):
    one = system("one", good())
    found = compare(one, one)
    assert {row.verdict for row in found.rows} == {"no_change"}
    assert {(row.delta, row.p_value, row.p_adjusted) for row in found.rows} == {(0.0, 1.0, 1.0)}


def test_exactly_the_spoiled_directions_regress(system):
    spoiled = good()
    for pair in ("eng_Latn-deu_Latn", "eng_Latn-tha_Thai"):
        spoiled[pair] = ["nichts"] * SEGMENTS
    found = compare(system("candidate", spoiled), system("baseline", good()))
    regressed = {pair for pair, verdict in verdicts(found).items() if verdict == "regressed"}
    assert regressed == {"eng_Latn-deu_Latn", "eng_Latn-tha_Thai"}
    assert set(verdicts(found).values()) == {"regressed", "no_change"}


def test_the_other_way_round_everything_is_mirrored(system):
    one, two = system("one", good(3)), system("two", good(5))
    there, back = compare(one, two), compare(two, one)
    mirror = {"improved": "regressed", "leans_up": "leans_down", "regressed": "improved",
              "leans_down": "leans_up"}  # fmt: skip
    for row in there.rows:
        other = next(r for r in back.rows if (r.task, r.metric) == (row.task, row.metric))
        assert other.delta == pytest.approx(-row.delta)
        assert other.p_value == pytest.approx(row.p_value)
        assert other.verdict == mirror.get(row.verdict, row.verdict)
        assert (other.ci_low, other.ci_high) == pytest.approx((-row.ci_high, -row.ci_low))


def test_rows_are_worst_first_and_values_subtract(system):
    found = compare(system("one", good(3)), system("two", good(6)))
    for metric in ("chrf++", "chrf", "bleu"):
        rows = [r for r in found.rows if r.metric == metric]
        assert len(rows) == len(DIRECTIONS)
        deltas = [r.delta for r in rows]
        assert deltas == sorted(deltas)
        assert all(r.delta == pytest.approx(r.candidate_value - r.baseline_value) for r in rows)
        assert all(r.ci_low <= r.delta <= r.ci_high for r in rows)
        assert all(r.p_adjusted >= r.p_value for r in rows)


def test_adding_a_direction_elsewhere_leaves_other_comparisons_equal(system):
    one, two = system("one", good(3)), system("two", good(5))
    before = compare(one, two).rows
    system("three", good(7))
    assert compare(one, two).rows == before


def test_what_a_side_did_not_plan_is_missing_and_not_incomplete(system):
    fewer = {pair: lines for pair, lines in good().items() if pair != "eng_Latn-deu_Latn"}
    found = compare(system("one", fewer), system("two", good(5)))
    (row,) = [r for r in found.rows if r.metric == "chrf++" and r.tgt_lang == "deu_Latn"]
    assert (row.verdict, row.reason) == ("missing", "one has no outputs for it")
    assert row.delta is row.p_value is row.candidate_value is None
    assert found.incomplete == []
    macro = next(m for m in found.macro if m.group == "flores200 all" and m.metric == "chrf++")
    assert (macro.n, macro.n_expected) == (5, 6)
    assert macro.reason == "1 of 6 tasks have no comparison"


def test_what_a_side_planned_and_did_not_score_is_incomplete(system):
    found = compare(system("one", good(), score=False), system("two", good(5)))
    assert {r.verdict for r in found.rows} == {"missing"}
    assert len(found.incomplete) == len(DIRECTIONS)
    assert "bayling-eval score one" in found.incomplete[0]


def test_other_references_are_incomparable_and_named(system, small_data):
    one = system("one", good())
    path = small_data / "flores200" / "flores200_dataset" / "devtest" / "deu_Latn.devtest"
    write_lines(path, [*sentences("deu_Latn")[:-1], "etwas anderes"])
    found = compare(system("two", {"eng_Latn-deu_Latn": sentences("deu_Latn")}), one)
    row = next(r for r in found.rows if r.tgt_lang == "deu_Latn" and r.src_lang == "eng_Latn")
    assert (row.verdict, row.reason) == ("incomparable", "references differ")
    assert row.delta is None


def test_other_signatures_are_incomparable_and_both_are_named(system, small_data):
    one = system("one", {"eng_Latn-zho_Hans": good()["eng_Latn-zho_Hans"]}, score=False)
    order = evaluate.Order((evaluate.MetricSpec.parse("bleu:tokenize=char"),), data=small_data)
    evaluate.score_cell(one.cells()[0], order)
    found = compare(
        one, system("two", {"eng_Latn-zho_Hans": sentences("zho_Hans")}), names=["bleu"]
    )
    (row,) = found.rows
    assert row.verdict == "incomparable"
    assert "tok:char" in row.reason
    assert "tok:zh" in row.reason


def test_a_task_scored_in_two_ways_counts_once(system, small_data):
    one, two = system("one", good(3)), system("two", good(5))
    before = compare(one, two, names=["chrf++"])
    added = evaluate.Order((evaluate.MetricSpec.parse("chrf++:lowercase=yes"),), data=small_data)
    for found in (one, two):
        evaluate.score_cell(found.cells()[0], added)
    after = compare(one, two, names=["chrf++"])
    assert (after.rows, after.macro) == (before.rows, before.macro)
    other = compare(one, two, names=["chrf++:lowercase=yes"])
    assert {row.signature.split("|")[1] for row in other.rows} == {"case:lc"}
    assert len(other.rows) == len(before.rows)


def test_what_neither_scored_as_asked_is_missing_and_not_incomparable(system):
    one = system("one", good())
    rows = compare(one, one, names=["bleu:tokenize=char"]).rows
    # Thai is scored with characters anyway.
    assert {row.tgt_lang for row in rows if row.verdict == "no_change"} == {"tha_Thai"}
    others = [row for row in rows if row.tgt_lang != "tha_Thai"]
    assert {row.verdict for row in others} == {"missing"}
    assert all("one: not scored as asked, only as nrefs:1|" in row.reason for row in others)


def test_one_metric_in_two_ways_is_refused(system):
    one = system("one", good())
    with pytest.raises(UserError, match="one metric in two ways"):
        compare(one, one, names=["bleu", "bleu:tokenize=char"])


def test_a_metric_that_nobody_scored_is_missing_where_it_is_asked_for(system, small_data):
    one = system("one", good(), score=False)
    evaluate.score_cell(
        one.cells()[0], evaluate.Order((evaluate.MetricSpec("chrf"),), data=small_data)
    )
    assert {row.metric for row in compare(one, one).rows} == {"chrf"}
    found = compare(one, one, names=["chrf++"])
    assert {(r.verdict, r.reason) for r in found.rows} == {("missing", "one: no chrf++ score")}
    assert {(m.n, m.n_expected) for m in found.macro if m.group.endswith(" all")} == {(0, 6)}


def test_references_are_chosen_among_those_scored(tmp_path):
    data, pair = tmp_path / "wmt", "generaltest2022.en-de"
    txt = data / "wmt22" / "txt"
    write_lines(txt / "sources" / f"{pair}.src.en", sentences("eng_Latn"))
    for name, seed in (("A", 0), ("B", 1)):
        reference = txt / "references" / f"{pair}.ref.{name}.de"
        write_lines(reference, sentences("deu_Latn", seed))
    chosen = plan.selected(plan.load("wmt22"))
    for name, every in (("one", 3), ("two", 5)):
        lines = spoil(sentences("deu_Latn"), every, "nichts")
        write_lines(tmp_path / name / "en-de.txt", lines)
        import_outputs(tmp_path / "results", name, chosen, tmp_path / name, data)
        cell = store.find(tmp_path / "results", name).cells()[0]
        for asked in ("A", "B"):
            order = evaluate.Order((evaluate.MetricSpec("chrf"),), (asked,), data=data)
            evaluate.score_cell(cell, order)
    both = [store.find(tmp_path / "results", name) for name in ("one", "two")]
    for asked, refs in (((), "A"), (("B",), "B"), (("A", "en-de=B"), "B")):
        (row,) = compare(*both, names=["chrf"], references=asked).rows
        assert row.signature.endswith(f"refs:{refs}")
    (row,) = compare(*both, names=["chrf"], references=("A,B",)).rows
    assert row.delta is None


def test_unknown_settings_are_disclosed_and_compared(system):
    found = compare(system("one", good()), system("two", good(5)))
    assert found.rows[0].settings_diff == [
        "settings of the candidate unknown",
        "settings of the baseline unknown",
    ]


def test_known_settings_that_differ_are_listed():
    ours = Settings(backend="vllm", dtype="bfloat16", num_fewshot=0)
    assert settings_diff(ours, ours) == []
    theirs = ours.model_copy(update={"dtype": "float16", "seed": 1})
    assert settings_diff(ours, theirs) == ["dtype: bfloat16 / float16", "seed: none / 1"]


def test_bleu_is_never_averaged(system):
    found = compare(system("one", good()), system("two", good(5)))
    assert {m.metric for m in found.macro} == {"chrf", "chrf++"}


def test_too_few_trials_are_refused_with_the_number_needed(system):
    one = system("one", good())
    with pytest.raises(UserError, match="100 trials cannot resolve 6 tests.*--trials 119 or more"):
        compare(one, one, method=Method(trials=100))


@pytest.mark.parametrize(
    ("names", "message"),
    [(["blue"], "unknown metric 'blue'"), (["length_ratio"], "no better direction")],
)
def test_a_metric_that_cannot_be_compared_is_refused(system, names, message):
    one = system("one", good())
    with pytest.raises(UserError, match=message):
        compare(one, one, names=names)


def test_more_empty_outputs_are_a_regression(system):
    empty = good()
    empty["eng_Latn-deu_Latn"] = [""] * SEGMENTS
    found = compare(system("one", empty), system("two", good()), names=["empty_rate"])
    assert verdicts(found, "empty_rate")["eng_Latn-deu_Latn"] == "regressed"
    assert found.rows[0].tgt_lang == "deu_Latn"
    assert found.rows[0].delta == 1


def collapsed(found, metric):
    return {r.tgt_lang: r.collapsed for r in found.rows if r.metric == metric}


def test_collapsed_segments_are_counted(system):
    spoiled = {"eng_Latn-deu_Latn": sentences("deu_Latn")}
    spoiled["eng_Latn-deu_Latn"][:3] = ["nichts"] * 3
    whole = {"eng_Latn-deu_Latn": sentences("deu_Latn")}
    one, two = system("one", spoiled), system("two", whole)
    for metric in ("chrf++", "bleu"):
        assert collapsed(compare(one, two), metric) == {"deu_Latn": 3}
        assert collapsed(compare(two, one), metric) == {"deu_Latn": 0}
    # chrF++ is read beside what is asked for.
    assert collapsed(compare(one, two, names=["empty_rate"]), "empty_rate") == {"deu_Latn": 3}


def test_without_chrfpp_on_both_sides_nothing_is_said_of_collapse(system, small_data):
    lines = {"eng_Latn-deu_Latn": sentences("deu_Latn")}
    one, two = system("one", lines), system("two", lines, score=False)
    for cell in two.cells():
        evaluate.score_cell(cell, evaluate.Order((MetricSpec("bleu"),), data=small_data))
    found = compare(one, two, names=["bleu"])
    assert [(row.verdict, row.collapsed) for row in found.rows] == [("no_change", None)]


def test_exports_compare_like_the_systems_they_were_made_of(system, tmp_path):
    one, two = system("one", good(3)), system("two", good(5))
    for chosen in (one, two):
        store.export([chosen], tmp_path / f"{chosen.name}.zip", with_text=False)
    exported = [store.find(Path(), str(tmp_path / f"{n}.zip")) for n in ("one", "two")]
    assert compare(*exported).rows == compare(one, two).rows


@pytest.mark.parametrize(
    ("src", "tgt", "group"),
    [
        ("eng_Latn", "zho_Hans", "eng_Latn-x"),
        ("zho_Hans", "eng_Latn", "x-eng_Latn"),
        ("zho_Hans", "deu_Latn", "zho_Hans-x"),
        ("deu_Latn", "zho_Hans", "x-zho_Hans"),
        ("deu_Latn", "fra_Latn", "other"),
        (None, None, "other"),
    ],
)
def test_every_direction_has_one_group(src, tgt, group):
    assert group_of(src, tgt) == group
