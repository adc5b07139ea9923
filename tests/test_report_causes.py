"""The likely causes that stand beside a loss."""

from dataclasses import replace

import pytest

from bayling_eval.aggregate import Line
from bayling_eval.records import Comparison, Score
from bayling_eval.report import causes


def score(metric: str, value: float | None, stderr: float = 0.004, signature: str = "s") -> Score:
    return Score(
        **dict.fromkeys(
            ("src_lang", "tgt_lang", "lang", "num_fewshot", "documents_digest", "higher_is_better")
        ),
        system="new",
        model="0" * 8,
        settings="0" * 8,
        task="flores200_eng_Latn-amh_Ethi",
        family="flores200",
        selection="all",
        metric=metric,
        signature=signature,
        value=value,
        stderr=stderr,
        n=1012,
        settings_digest="0",
        status="ok" if value is not None else "not_covered",
    )


def line(ours: list[Score], theirs: list[Score], verdict: str = "regressed", delta=-3.0) -> Line:
    row = Comparison(
        task="flores200_eng_Latn-amh_Ethi",
        family="flores200",
        src_lang="eng_Latn",
        tgt_lang="amh_Ethi",
        lang=None,
        metric="chrf++",
        signature="s",
        candidate="new",
        baseline="old",
        delta=delta,
        verdict=verdict,
        settings_diff=[],
    )
    sides = tuple({one.metric: one for one in side} for side in (ours, theirs))
    return Line(row, (), sides, {})


def rates(**values: float) -> list[Score]:
    names = ("off_target", "wrong_script", "empty", "truncated", "copy", "runaway", "preamble")
    usual = {**{f"{name}_rate": 0.01 for name in names}, "length_ratio": 1.0}
    return [score(name, value) for name, value in {**usual, **values}.items()]


def test_what_rose_is_named_the_largest_first():
    found = causes.likely(line(rates(off_target_rate=0.073, empty_rate=0.04), rates()))
    assert found.found == ("off target +6.30 pp", "empty +3.00 pp")
    assert found.text == "off target +6.30 pp; empty +3.00 pp"


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (0.84, 0.93, "outputs shorter: length ratio 0.93 → 0.84"),
        (1.4, 1.05, "outputs longer: length ratio 1.05 → 1.40"),
        # Nearer to the references' length is no cause of a loss.
        (1.0, 1.2, ""),
        (0.97, 1.0, ""),
    ],
)
def test_a_length_that_moved_away_is_a_cause(ours, theirs, said):
    found = causes.likely(line(rates(length_ratio=ours), rates(length_ratio=theirs)))
    assert "; ".join(found.found) == said


def test_where_nothing_changed_it_is_said_what_was_checked():
    found = causes.likely(line(rates(), rates()))
    assert found.text == (
        "checked: off target, wrong script, length, empty, truncated, copies of the source, "
        "runaway, preambles; none changed"
    )


def test_what_has_no_number_was_not_checked():
    imported = [score("empty_rate", 0.0), score("truncated_rate", None)]
    found = causes.likely(line(imported, imported))
    assert found.checked == ("empty",)
    assert found.unknown == ("truncated",)
    assert found.text == (
        "checked: empty; none changed; not scored: off target, wrong script, length, copies of the "
        "source, runaway, preambles; not known: truncated"
    )
    assert causes.likely(line([], [])).checked == ()


def test_a_rate_is_no_cause_of_itself():
    lost = line(rates(copy_rate=0.4), rates())
    own = replace(lost, row=lost.row.model_copy(update={"metric": "copy_rate"}))
    assert causes.likely(lost).found == ("copies of the source +39.00 pp",)
    assert causes.likely(own).found == ()


def test_scores_that_were_computed_in_two_ways_are_not_held_against_each_other():
    ours, theirs = [score("empty_rate", 0.5)], [score("empty_rate", 0.0, signature="other")]
    assert "empty" in causes.likely(line(ours, theirs)).unscored


@pytest.mark.parametrize(
    ("rise", "stderr", "named"),
    [
        (0.0199, 0.0, False),
        (0.02, 0.0, True),
        # Twice the error of two independent scores of 0.02 each is 0.057.
        (0.05, 0.02, False),
        (0.06, 0.02, True),
        (-0.3, 0.0, False),
    ],
)
def test_a_rise_has_to_be_large_and_beyond_its_error(rise, stderr, named):
    ours, theirs = score("empty_rate", 0.4 + rise, stderr), score("empty_rate", 0.4, stderr)
    assert bool(causes.likely(line([ours], [theirs])).found) == named


def test_losses_are_all_that_regressed_and_gains_come_largest_first():
    lines = [
        line(rates(), rates()),
        line([], [], "no_change", -0.1),
        line([], [], "improved", 1.0),
        line([], [], "improved", 4.0),
    ]
    (loss,) = causes.losses({"chrf++": lines}, "regressed")
    assert loss.line is lines[0]
    assert loss.cause is not None
    assert [g.line.row.delta for g in causes.losses({"chrf++": lines}, "improved")] == [4.0, 1.0]
    assert causes.losses({"chrf++": lines}, "improved")[0].cause is None
