"""Which rows a gate is about, and the waivers of those that fail."""

import datetime

import pytest
from compare_lab import DIRECTIONS, good
from conftest import SEGMENTS
from gate_lab import TODAY, direction, gate, judged, only, over_rows, to, waiver

from bayling_eval.errors import UserError

YESTERDAY = TODAY - datetime.timedelta(days=1)
GERMAN, THAI = "eng_Latn-deu_Latn", "eng_Latn-tha_Thai"


ROWS = [direction(pair) for pair in DIRECTIONS]


@pytest.fixture
def systems(system):
    """A candidate with two spoiled directions, and the baseline."""
    bad = {**good(), GERMAN: ["nichts"] * SEGMENTS, THAI: ["nichts"] * SEGMENTS}
    return system("new", bad), system("old", good())


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({}, set(DIRECTIONS)),
        ({"family": "flores200"}, set(DIRECTIONS)),
        ({"side": "x-eng_Latn"}, {"deu_Latn-eng_Latn", "zho_Hans-eng_Latn"}),
        ({"side": "other"}, {"deu_Latn-tha_Thai"}),
        ({"tasks": "*-tha_Thai"}, {THAI, "deu_Latn-tha_Thai"}),
        ({"languages": "th"}, {THAI, "deu_Latn-tha_Thai"}),
        ({"languages": "zho_Hans, @rtl"}, None),
        ({"languages": "th,zho_Hans", "side": "eng_Latn-x"}, {THAI, "eng_Latn-zho_Hans"}),
    ],
)
def test_rows_are_selected(tmp_path, keys, names):
    if names is None:
        with pytest.raises(UserError, match="languages: '@rtl' selects no task"):
            over_rows(tmp_path, gate("count", **keys), ROWS)
    else:
        found = over_rows(tmp_path, gate("count", **keys), ROWS)
        assert {row.name for row in found.rows} == names
        assert only(found).n == len(names)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"family": "flores20"}, r"toml:1: gate 'count': unknown family 'flores20'.*'flores200'"),
        ({"side": "eng-x"}, r"unknown side 'eng-x'.*(eng_Latn-x)"),
        ({"tasks": "wmt22_*"}, r"unknown task 'wmt22_\*'.*flores200_deu_Latn-eng_Latn"),
        ({"languages": "tha_Tha"}, r"languages: unknown language 'tha_Tha'.*'tha_Thai'"),
        ({"languages": "@rlt"}, r"languages: unknown language set '@rlt'.*'@rtl'"),
        ({"languages": "fra_Latn"}, r"'fra_Latn' selects no task, so nothing would .*tha_Thai"),
        ({"languages": ","}, r"its selectors leave no task; there are flores200_"),
        ({"metric": "acc"}, r"nothing to check: neither system planned a task that acc could"),
        ({"side": "x-eng_Latn", "languages": "th"}, r"'th' selects no task"),
    ],
)  # fmt: skip
def test_a_gate_that_would_check_nothing_is_refused(tmp_path, keys, message):
    with pytest.raises(UserError, match=message):
        over_rows(tmp_path, gate("count", **keys), ROWS)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"group": "flores200 eng-x"}, r"unknown group 'flores200 eng-x'.*flores200 eng_Latn-x"),
        ({"group": "flores200 all", "metric": "bleu"}, r"no means of bleu"),
        ({"group": "flores200 all", "by": "script"}, r"unknown group .*script:Latn"),
    ],
)
def test_an_unknown_group_lists_those_that_are_there(tmp_path, systems, keys, message):
    with pytest.raises(UserError, match=r"gate 'macro': .*" + message):
        judged(tmp_path, gate("macro", min=0, **keys), *systems)


def test_a_group_of_another_grouping(tmp_path, systems):
    text = gate("macro", group="flores200 eng_Latn-x script:Thai", by="script", min=0)
    # One language is too few for a mean, and that is said.
    found = judged(tmp_path, text, *systems)
    assert only(found).outcome == "warn"
    assert "no mean over 1/1: fewer than 5 tasks" in found.rows[0].sentence


def test_several_families_are_named(tmp_path):
    rows = [to("deu_Latn"), to("deu_Latn", family="ntrex128", task="ntrex128_x")]
    found = over_rows(tmp_path, gate("count"), rows)
    assert [row.name for row in found.rows] == [f"flores200 {GERMAN}", f"ntrex128 {GERMAN}"]
    # Each family has its own spelling of a language.
    text = gate("count", languages="deu")
    assert only(over_rows(tmp_path, text, rows)).n == 2


# Waivers


def test_a_waived_row_does_not_count_and_stays_visible(tmp_path, systems):
    text = gate("count") + waiver(TODAY, gate="count", language="tha_Thai")
    found = judged(tmp_path, text, *systems)
    assert (only(found).outcome, only(found).where) == ("fail", [GERMAN])
    assert (only(found).n_fail, only(found).n_waived) == (1, 1)
    (waived,) = [row for row in found.rows if row.outcome == "waived"]
    assert (waived.name, waived.waiver.by, waived.waiver.reason) == (
        THAI,
        "@release",
        "no data | <b>",
    )
    assert found.sentence == "not ready: 1 of 1 gate fails; 1 waiver used"
    both = text + waiver(TODAY, gate="count", task=f"flores200_{GERMAN}")
    found = judged(tmp_path, both, *systems)
    assert found.sentence == "ready: 1 gate passes; 2 waivers used"
    assert {row.outcome for row in found.rows} == {"waived", "pass"}


def test_an_expired_waiver_does_nothing_and_is_said(tmp_path, systems):
    text = gate("count", max=1) + waiver(YESTERDAY, gate="count", language="tha_Thai")
    found = judged(tmp_path, text, *systems)
    assert (only(found).outcome, only(found).n_waived) == ("fail", 0)
    assert found.waivers[0].state == "expired"
    assert "waiver of count for tha_Thai expired on 2027-03-30" in found.notes[-1]


def test_a_waiver_that_covers_nothing_is_a_note(tmp_path, systems):
    text = gate("count", languages="zho_Hans") + waiver(TODAY, gate="count", language="tha_Thai")
    found = judged(tmp_path, text, *systems)
    assert only(found).outcome == "pass"
    assert "matches no failing row" in found.notes[-1]


def test_a_waiver_is_for_the_language_that_a_row_is_about(tmp_path, systems):
    # Of a direction from English that is not English, or all would be waived.
    text = gate("count") + waiver(TODAY, gate="count", language="eng_Latn")
    found = judged(tmp_path, text, *systems)
    assert (only(found).n_fail, found.waivers[0].state) == (2, "unused")


def test_a_waiver_covers_its_gate_alone(tmp_path, systems):
    text = gate("count") + gate("floor", min=50) + waiver(TODAY, gate="count", language="tha_Thai")
    counted, floor = judged(tmp_path, text, *systems).gates
    assert (counted.where, set(floor.where)) == ([GERMAN], {GERMAN, THAI})


def test_what_fails_for_being_unknown_can_be_waived_and_what_warns_cannot(tmp_path):
    rows = [to("deu_Latn", delta=-1.0, stderr=1.0), to("tha_Thai")]
    for policy, state in (("fail", "used"), ("warn", "unused")):
        text = gate("protected", languages="@all", limit=1, inconclusive=policy)
        text = text + waiver(TODAY, gate="protected", language="deu_Latn")
        found = over_rows(tmp_path, text.replace("@all", "deu_Latn"), rows)
        assert found.waivers[0].state == state
        assert only(found).outcome == ("pass" if policy == "fail" else "warn")
