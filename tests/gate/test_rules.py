"""The file of rules: what is refused, with its line, before anything is compared."""

import datetime
import re
from pathlib import Path

import pytest
from gate_lab import TODAY, gate, rules_of, waiver

from bayling_eval.errors import UserError
from bayling_eval.gate import rules
from bayling_eval.gate.rules import load

COUNT = gate("count")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"rules.toml:1: gates: Field required"),
        ("gates = []\n", r"rules.toml:1: gates: .*at least 1 item"),
        ("[[gates]\n", r"rules.toml:1: broken TOML"),
        ("gate = 1\n" + COUNT, r"rules.toml:1: unknown key 'gate'.*'gates'"),
        ('[[gates]]\nid = "a"\n', r"rules.toml:1: gates.0.rule: Field required"),
        (gate("conut"), r"rules.toml:3: unknown rule 'conut'.*'count'"),
        (
            COUNT + gate("protected", languages="deu_Latn", limt=1),
            r":8: unknown key 'limt'.*'limit'",
        ),
        (gate("protected", languages="deu_Latn"), r":1: gates.0.limit: Field required"),
        (gate("protected", languages="deu_Latn", limit=0), r":5: gates.0.limit: .*greater than 0"),
        (gate("health", metric="empty_rate", max_change="nan"), r":5: gates.0.max_change"),
        (gate("macro", group="g", min=float("nan")), r":5: gates.0.min: .*finite"),
        (gate("count", verdict="worse"), r":4: gates.0.verdict.0: .*'regressed'"),
        (gate("count", verdict=[]), r":4: gates.0.verdict"),
        (gate("count", max=-1), r":4: gates.0.max: .*greater than or equal to 0"),
        (gate("count", inconclusive="pass"), r":4: gates.0.inconclusive: .*'warn' or 'fail'"),
        (gate("count", id="a b"), r":2: gates.0.id: .*pattern"),
        (gate("coverage", min=1.5), r":4: gates.0.min: .*less than or equal to 1"),
        (gate("floor"), r":1: gates.0: write min, or max where lower is better"),
        (gate("floor", min=1, max=2), r":1: gates.0: write min, or max where lower is better"),
        (gate("macro", group="g", min=0, family="flores200"), r":6: unknown key 'family'"),
        (COUNT + "\n" + COUNT, r":5: gate 'count' stands there twice"),
        (gate("count", metric="chfr++"), r":1: gate 'count': unknown metric 'chfr\+\+'"),
        (gate("count", metric="bleu:tok=13a"), r":1: gate 'count': .*'tok'"),
        (gate("macro", group="g", min=0, by="scirpt"), r"gate 'macro': unknown grouping 'scirpt'"),
        (gate("same", require_same=["promt_set"]), r"unknown setting 'promt_set'.*'prompt_set'"),
        (gate("same", require_same=[]), r":4: gates.0.require_same"),
        ("[compare]\ntrails = 5\n" + COUNT, r":2: unknown key 'trails'.*'trials'"),
        (COUNT + "[compare]\ntrials = 0\n", r":5: compare.trials: .*greater than or equal to 1"),
        (COUNT + '[compare.min_effect]\n"chrf++" = -1\n', r":5: compare.min_effect.chrf\+\+: "),
        (COUNT + waiver(TODAY, gate="cuont", language="deu_Latn"), r":4: unknown gate 'cuont'"),
        (COUNT + waiver(TODAY, gate="count", language="German"), r":4: unknown language 'German'"),
        (COUNT + waiver(TODAY, gate="count"), r":4: waivers.0: write language or task"),
        (COUNT + waiver(TODAY, gate="count", language="deu_Latn", task="x"), r"language or task"),
        (COUNT + waiver(TODAY, gate="count", task="x", by=""), r"waivers.0.by: .*at least 1 char"),
        (COUNT + waiver(TODAY, gate="count", task="x", reson="y"), r"'reson'.*'reason'"),
        (COUNT + waiver("soon", gate="count", task="x"), r":9: broken TOML"),
        (COUNT + waiver("true", gate="count", task="x"), r":9: waivers.0.expires: .*date"),
        (
            gate("macro", group="g", min=0) + waiver(TODAY, gate="macro", task="x"),
            r":6: gate 'macro' judges no single task",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as fault:
        rules_of(tmp_path, text)
    assert "\n" not in str(fault.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no rules at .*none.toml"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (gate("floor", max=20), r":1: gate 'floor': of chrf\+\+ higher is better: write min"),
        (gate("floor", metric="empty_rate", min=0), r"of empty_rate lower is better: write max"),
        (gate("health", metric="length_ratio", max_change=1), r"'length_ratio' has no better"),
    ],
)
def test_metrics_and_limits_must_fit(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        rules_of(tmp_path, text).check_directions()


def test_what_rules_need_is_asked_for_once(tmp_path):
    found = rules_of(
        tmp_path,
        gate("count") + gate("floor", min=1) + gate("health", metric="empty_rate", max_change=0)
        + gate("macro", group="g", min=0, by="script") + gate("same", require_same=["seed"]),
    )  # fmt: skip
    assert found.metrics == ("chrf++", "empty_rate")
    assert found.groupings == ("suite", "side", "script")


def test_code_of_ones_own_does_not_run_when_rules_are_read(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("raise SystemExit('ran')")
    found = rules_of(tmp_path, gate("count", metric=f"{mine}:Mine"))
    assert found.metrics == (f"{mine}:Mine",)


def test_a_verdict_may_be_one_or_a_list(tmp_path):
    one = rules_of(tmp_path, gate("count", verdict="missing")).gates[0]
    two = rules_of(tmp_path, gate("count", verdict=["regressed", "leans_down"])).gates[0]
    assert (one.verdict, two.verdict) == (("missing",), ("regressed", "leans_down"))


def test_days_are_dates(tmp_path):
    text = COUNT + waiver(TODAY, gate="count", language="deu_Latn")
    assert rules_of(tmp_path, text).waivers[0].expires == datetime.date(2027, 3, 31)


def test_every_rule_can_be_written(tmp_path):
    written = set(re.findall(r'rule: Literal\["(\w+)"\]', Path(rules.__file__).read_text()))
    assert written == {"count", "protected", "macro", "health", "coverage", "floor", "same"}
