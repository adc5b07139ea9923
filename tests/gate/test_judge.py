"""What gates say: three outcomes each, and nothing unknown ever passes."""

import datetime
import math

import pytest
from compare_lab import DIRECTIONS, good
from conftest import SEGMENTS
from gate_lab import gate, judged, mean, missing, only, over_rows, row, to, waiver

from bayling_eval import statistics, store
from bayling_eval.gate.judge import judge
from bayling_eval.records import Settings

ALL = (
    gate("count")
    + gate("protected", languages="@all", limit=1)
    + gate("macro", group="flores200 all", min=-0.1)
    # Of ten documents without an empty output up to 42 % of all may have one: six rows together.
    + gate("health", metric="empty_rate", max_change=0.45)
    + gate("coverage")
    + gate("floor", min=50)
)
SPOILED = ("eng_Latn-deu_Latn", "eng_Latn-tha_Thai")


def spoiled() -> dict[str, list[str]]:
    return {**good(), **{name: ["nichts", ""] * (SEGMENTS // 2) for name in SPOILED}}


def outcomes(found) -> dict[str, str]:
    return {one.gate: one.outcome for one in found.gates}


def test_a_system_against_itself_is_ready(tmp_path, system):
    one = system("one", good())
    found = judged(tmp_path, ALL, one, one)
    assert set(outcomes(found).values()) == {"pass"}
    assert (found.verdict, found.sentence) == ("ready", "ready: 6 gates pass")
    assert {row.outcome for row in found.rows} == {"pass"}
    assert not any(row.sample for row in found.rows)


def test_exactly_the_spoiled_directions_fail(tmp_path, system):
    found = judged(tmp_path, ALL, system("new", spoiled()), system("old", good()))
    said = {one.gate: set(one.where) for one in found.gates if one.outcome == "fail"}
    assert said == {
        "count": set(SPOILED),
        "protected": set(SPOILED),
        "macro": {"flores200 all"},
        "floor": set(SPOILED),
    }
    # Half of the outputs are empty: of ten documents that may be more than 45 points, or less.
    health = next(one for one in found.gates if one.gate == "health")
    assert (health.outcome, set(health.where)) == ("warn", set(SPOILED))
    assert found.sentence.startswith("not ready: 4 of 6 gates fail")


def test_a_failing_row_has_a_sentence_and_the_segment_that_lost_most(tmp_path, system):
    found = judged(tmp_path, gate("count"), system("new", spoiled()), system("old", good()))
    first = next(row for row in found.rows if row.outcome == "fail")
    assert first.name in SPOILED
    assert first.sentence.startswith(f"{first.name}: chrf++ ")
    assert "regressed (p = 0.0" in first.sentence
    assert "after Holm over 6)" in first.sentence
    # Every other output is empty; a rate that rose stands behind, without a test.
    assert first.sentence.endswith(("empty_rate +50.0 points", "wrong_script_rate +100.0 points"))
    sample = first.sample
    assert sample.candidate in ("nichts", "")
    assert sample.reference == sample.baseline
    assert (sample.baseline_score, sample.candidate_score) == (100.0, 0.0)


# Protected, near the limit


@pytest.mark.parametrize(
    ("beyond", "outcome"), [(1e-6, "pass"), (-1e-6, "warn"), (0.5, "pass"), (-0.5, "warn")]
)
def test_a_protected_row_passes_where_its_lower_bound_is_above_the_limit(tmp_path, beyond, outcome):
    stderr, limit, m = 0.5, 2.0, 3
    reach = statistics.simultaneous(0.0, stderr, m)[1]
    delta = -limit + reach + beyond
    rows = [to("deu_Latn", delta=delta, stderr=stderr), to("fra_Latn"), to("tha_Thai")]
    text = gate("protected", languages="@all", limit=limit, inconclusive="warn")
    found = over_rows(tmp_path, text, rows)
    assert only(found).outcome == outcome
    assert [row.outcome for row in found.rows] == [outcome, "pass", "pass"]


@pytest.mark.parametrize(("beyond", "outcome"), [(1e-6, "warn"), (-1e-6, "fail")])
def test_a_protected_row_fails_where_its_upper_bound_is_below_the_limit(tmp_path, beyond, outcome):
    reach = statistics.simultaneous(0.0, 0.5, 1)[1]
    rows = [row(delta=-2.0 - reach + beyond, stderr=0.5)]
    text = gate("protected", languages="deu_Latn", limit=2, inconclusive="warn")
    assert only(over_rows(tmp_path, text, rows)).outcome == outcome


def test_protected_rows_that_nothing_is_known_of_fail_by_default(tmp_path):
    text = gate("protected", languages="deu_Latn", limit=1)
    (found,) = over_rows(tmp_path, text, [row(delta=-1.0, stderr=0.5)]).rows
    assert found.outcome == "fail"
    assert "whether it loses 1.00 cannot be said: with 1012 segments 1.40 would be found" in (
        found.sentence
    )


@pytest.mark.parametrize(("delta", "outcome"), [(-5.0, "pass"), (5.0, "fail")])
def test_where_lower_is_better_a_rise_is_the_loss(tmp_path, delta, outcome):
    text = gate("protected", metric="ter", languages="deu_Latn", limit=1)
    assert only(over_rows(tmp_path, text, [row(metric="ter", delta=delta)])).outcome == outcome


# Count


@pytest.mark.parametrize(
    ("keys", "outcome"),
    [({}, "fail"), ({"max": 2}, "pass"), ({"max": 1}, "fail"), ({"min_abs": 3.0}, "fail"),
     ({"min_abs": 3.0, "max": 1}, "pass"), ({"min_abs": 9.0}, "pass"),
     ({"verdict": "improved"}, "pass"), ({"verdict": ["leans_down", "improved"]}, "pass")],
)  # fmt: skip
def test_rows_with_a_verdict_are_counted(tmp_path, keys, outcome):
    rows = [
        to("deu_Latn", delta=-4.0, verdict="regressed"),
        to("fra_Latn", delta=-2.0, verdict="regressed"),
        to("tha_Thai"),
    ]
    found = over_rows(tmp_path, gate("count", **keys), rows)
    assert only(found).outcome == outcome


def test_what_may_be_regressed_decides_only_where_it_matters(tmp_path):
    rows = [to("deu_Latn", delta=-4.0, verdict="regressed"), missing()]
    for most, outcome in ((0, "fail"), (1, "warn"), (2, "pass")):
        found = over_rows(tmp_path, gate("count", max=most), rows)
        assert only(found).outcome == outcome
    assert [row.outcome for row in found.rows] == ["allowed", "allowed"]
    found = over_rows(tmp_path, gate("count", max=1, inconclusive="fail"), rows)
    assert [row.outcome for row in found.rows] == ["fail", "fail"]
    found = over_rows(tmp_path, gate("count", verdict=["missing"], min_abs=1.0), rows)
    assert only(found).where == ["eng_Latn-deu_Latn"]


# Macro


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ({"ci_low": -0.2, "ci_high": 0.4}, "pass"),
        ({"ci_low": -0.21, "ci_high": 0.4}, "warn"),
        ({"ci_low": -0.9, "ci_high": -0.2}, "warn"),
        ({"ci_low": -0.9, "ci_high": -0.21}, "fail"),
        ({"ci_low": 0.1, "ci_high": 0.4, "n": 5, "reason": "1 of 6"}, "warn"),
        ({"ci_low": -0.9, "ci_high": -0.21, "n": 5}, "fail"),
        ({"ci_low": math.nan, "ci_high": 0.4}, "warn"),
        ({"delta": None, "ci_low": None, "ci_high": None, "reason": "fewer than 5"}, "warn"),
    ],
)
def test_a_mean_is_held_against_its_least_gain(tmp_path, values, outcome):
    text = gate("macro", group="flores200 all", min=-0.2)
    found = over_rows(tmp_path, text, [row()], mean(**values))
    assert only(found).outcome == outcome


def test_a_mean_can_be_of_languages_like_these(tmp_path):
    wide = mean(ci_low=0.1, ci_high=0.3, population_ci_low=-1.0, population_ci_high=1.0)
    text = gate("macro", group="flores200 all", min=0, interval="population")
    found = over_rows(tmp_path, text, [row()], wide)
    assert only(found).outcome == "warn"
    assert "[-1.00, +1.00] for languages like these over 6/6" in found.rows[0].sentence


def test_a_mean_of_what_is_better_lower_is_turned(tmp_path, system):
    one, two = system("one", spoiled()), system("two", good())
    text = gate("macro", metric="empty_rate", group="flores200 all", min=-0.01)
    assert only(judged(tmp_path, text, one, two)).outcome == "fail"
    assert only(judged(tmp_path, text, two, one)).outcome == "pass"


# Health, coverage, floor


@pytest.mark.parametrize(
    ("delta", "stderr", "outcome"),
    [(0.0, 0.0, "pass"), (0.02, 0.0, "pass"), (0.021, 0.0, "fail"), (0.01, 0.01, "warn"),
     (0.06, 0.01, "fail"), (-0.5, 0.1, "pass")],
)  # fmt: skip
def test_a_rate_may_not_certainly_rise_by_more(tmp_path, delta, stderr, outcome):
    text = gate("health", metric="empty_rate", max_change=0.02)
    rows = [row(metric="empty_rate", delta=delta, stderr=stderr)]
    assert only(over_rows(tmp_path, text, rows)).outcome == outcome


@pytest.mark.parametrize(
    ("least", "outcome"), [(1.0, "fail"), (0.95, "pass"), (0.951, "fail"), (0.5, "pass")]
)
def test_coverage_is_a_share_of_what_was_planned(tmp_path, least, outcome):
    langs = ("deu_Latn", "fra_Latn", "tha_Thai", "zho_Hans")
    rows = [to(lang, task=f"{lang} {n}") for lang in langs for n in range(5)]
    rows[7] = missing()
    found = over_rows(tmp_path, gate("coverage", min=least), rows)
    assert only(found).outcome == outcome
    assert only(found).observed == "19/20 (95.0 %)"
    assert found.rows[0].outcome == ("fail" if outcome == "fail" else "allowed")


def test_a_floor_is_of_the_candidate_alone(tmp_path, system):
    part = {name: lines for name, lines in good().items() if name not in SPOILED}
    one, two = system("one", good()), system("two", part)
    scores = {r.task: r for r in one.cells()[0].scores() if r.metric == "chrf++"}
    lowest = min(scores.values(), key=lambda r: r.ci_low)
    for least, outcome in ((lowest.ci_low - 0.01, "pass"), (lowest.ci_low + 0.01, "fail")):
        found = judged(tmp_path, gate("floor", min=least), one, two)
        assert only(found).outcome == outcome
        assert {row.task for row in found.rows} == set(scores)
    assert [r.task for r in found.rows if r.outcome == "fail"] == [lowest.task]
    assert found.rows[0].sample is not None
    assert only(judged(tmp_path, gate("floor", min=99.9), one, two)).n_fail == len(DIRECTIONS)
    # None of 30 segments is empty: 1 - 0.025^(1/30) = 11.6 % of all may be.
    for most, outcome in ((0.12, "pass"), (0.11, "fail")):
        high = gate("floor", metric="empty_rate", max=most)
        assert only(judged(tmp_path, high, one, two)).outcome == outcome
    lacking = judged(tmp_path, gate("floor", min=1), two, one)
    assert only(lacking).outcome == "fail"
    assert set(only(lacking).where) == set(SPOILED)
    assert "no score: two has no outputs for it" in lacking.rows[-1].sentence


# Same


def with_settings(found, **values):
    for cell in found.cells():
        settings = Settings(**values)
        store.save(cell.folder.parent / store.SETTINGS, store.settings_file(settings))
    return found


def test_settings_must_be_known_and_equal(tmp_path, system):
    text = gate("same", require_same=["prompt_set", "num_fewshot"])
    one, two = system("one", good()), system("two", good())
    unknown = judged(tmp_path, text, one, two)
    assert (only(unknown).outcome, only(unknown).where) == ("fail", ["flores200"])
    assert "prompt_set unknown / unknown" in unknown.rows[0].sentence
    with_settings(one, backend="vllm", prompt_set="plain", seed=1)
    with_settings(two, backend="vllm", prompt_set="plain", seed=2)
    assert only(judged(tmp_path, text, one, two)).outcome == "pass"
    with_settings(two, backend="vllm", prompt_set="plain", num_fewshot=5)
    found = judged(tmp_path, text, one, two)
    assert found.rows[0].sentence == "flores200: num_fewshot None / 5"
    assert only(found).outcome == "fail"


# What is not known


@pytest.mark.parametrize("field", ["delta", "stderr", "ci_low", "ci_high", "p_adjusted"])
@pytest.mark.parametrize(
    "text",
    [
        gate("count"),
        gate("count", verdict="no_change", max=0),
        gate("protected", languages="deu_Latn", limit=1, inconclusive="warn"),
        gate("health", metric="chrf++", max_change=1),
    ],
)
def test_what_is_not_a_number_is_inconclusive(tmp_path, text, field):
    found = over_rows(tmp_path, text, [row(**{field: math.nan, "detectable_effect": math.nan})])
    assert only(found).outcome == "warn"
    assert only(found).detectable_effect is None
    assert "not a number" in found.rows[0].sentence
    assert not any(
        isinstance(v, float) and math.isnan(v) for v in found.rows[0].model_dump().values()
    )


def test_what_is_not_a_number_is_not_covered(tmp_path):
    found = over_rows(tmp_path, gate("coverage"), [row(stderr=math.nan)])
    assert only(found).outcome == "fail"


@pytest.mark.parametrize(
    "text",
    [
        gate("count"),
        gate("protected", languages="deu_Latn", limit=1, inconclusive="warn"),
        gate("health", metric="chrf++", max_change=1),
        gate("floor", min=1, tasks="*_x", inconclusive="warn"),
    ],
)
@pytest.mark.parametrize("verdict", ["missing", "incomparable"])
def test_what_is_missing_is_inconclusive_with_its_reason(tmp_path, text, verdict):
    rows = [missing(verdict=verdict, reason="why\x1b[31m it is", task="flores200_x")]
    found = over_rows(tmp_path, text, rows)
    assert only(found).outcome == "warn"
    assert "\x1b" not in found.rows[0].sentence
    if "floor" not in text:
        assert f"{verdict}: why\\x1b[31m it is" in found.rows[0].sentence


def test_a_metric_that_was_not_scored_passes_nothing(tmp_path, system):
    one = system("one", good())
    text = gate("health", metric="off_target_rate", max_change=0.5)
    found = judged(tmp_path, text, one, one)
    assert only(found).outcome == "warn"
    assert {row.outcome for row in found.rows} == {"warn"}
    assert found.verdict == "incomparable"


def test_what_a_system_did_not_finish_is_never_ready(tmp_path, system):
    one, two = system("one", good()), system("two", good(), score=False)
    found = judged(tmp_path, gate("count", max=99), one, two)
    assert (only(found).outcome, found.verdict) == ("pass", "incomplete")
    assert found.sentence == ("incomplete: 6 planned tasks have no valid score; 1 gate passes")
    failing = judged(tmp_path, gate("coverage"), one, two)
    assert failing.verdict == "not_ready"


def test_without_texts_there_is_no_sample_and_a_note(tmp_path, system):
    new, old = system("new", spoiled()), system("old", good())
    for found in (new, old):
        store.export([found], tmp_path / f"{found.name}.zip", with_text=False)
    exported = [store.find(tmp_path, str(tmp_path / f"{name}.zip")) for name in ("new", "old")]
    found = judged(tmp_path, gate("count"), *exported)
    assert not any(row.sample for row in found.rows)
    assert [note.split()[0] for note in found.notes] == ["new", "old"]
    assert only(found).where == only(judged(tmp_path, gate("count"), new, old)).where


def test_today_is_the_day_unless_another_is_named(tmp_path):
    text = gate("count") + waiver(datetime.date(1999, 12, 31), gate="count", language="deu_Latn")
    found = over_rows(tmp_path, text, [row()])
    assert judge(found.rules, found.pair).waivers[0].state == "expired"
