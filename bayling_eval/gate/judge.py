"""Rules held against a comparison: what each gate says, and the rows behind it.

What is missing, not comparable or not a number never passes: it is inconclusive, with its reason.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Literal

from bayling_eval.compare import Comparisons
from bayling_eval.errors import UserError
from bayling_eval.gate import evidence
from bayling_eval.gate.held import Held
from bayling_eval.gate.outcomes import GateOutcome, GateRow, Judgement, Waived
from bayling_eval.gate.readings import READINGS, Reading
from bayling_eval.gate.rules import Gate, Rules, SameGate, Waiver
from bayling_eval.macro import language_of
from bayling_eval.records import Comparison

Outcome = Literal["pass", "warn", "fail"]


def judge(
    rules: Rules,
    pair: Comparisons,
    references: Sequence[str] = (),
    today: datetime.date | None = None,
) -> Judgement:
    """Judge a comparison that has the rules' metrics and averages.

    ``references`` are those given to ``compare``; ``today``, by which waivers expire, is by default
    the day in UTC.

    Raises:
        UserError: a gate selects nothing, or names a group that is not there.
    """
    today = today or datetime.datetime.now(datetime.UTC).date()
    held = Held(rules, pair, references)
    about = {row.task: row for row in pair.rows}
    gates, rows, waivers = list[GateOutcome](), list[GateRow](), dict[int, Waived]()
    for gate in rules.gates:
        try:
            reading = READINGS[gate.rule](gate, held)
        except UserError as fault:
            raise UserError(f"{rules.at(gate)}{fault}") from None
        own = [n for n, waiver in enumerate(rules.waivers) if waiver.gate == gate.id]
        found = list(reading.rows)
        for n in own:
            waivers[n] = _waive(rules.waivers[n], found, gate, about, today)
        outcome = _settle(gate, reading, found)
        gates.append(outcome)
        rows += found
    shown = evidence.show(rows, held)
    ordered = tuple(waivers[n] for n in sorted(waivers))
    notes = (*shown.notes, *(_said(one) for one in ordered if one.state != "used"))
    if pair.candidate.label == pair.baseline.label:
        notes += (f"both are {pair.candidate.label}: no difference can show",)
    return Judgement(rules, pair, tuple(gates), tuple(shown.rows), ordered, notes)


def _waive(
    waiver: Waiver,
    rows: list[GateRow],
    gate: Gate,
    about: Mapping[str, Comparison],
    today: datetime.date,
) -> Waived:
    """Take the failing rows that a waiver covers out of a gate's rows, in place."""
    failing = {"fail", "warn"} if _policy(gate) == "fail" else {"fail"}
    expired = waiver.expires < today
    covered = [
        n
        for n, row in enumerate(rows)
        if row.outcome in failing and not expired and _covers(waiver, row, about)
    ]
    record = Waived(
        **waiver.model_dump(mode="json"),
        state="expired" if expired else "used" if covered else "unused",
        tasks=[str(rows[n].task) for n in covered],
    )
    for n in covered:
        rows[n] = rows[n].model_copy(update={"outcome": "waived", "waiver": record})
    return record


def _covers(waiver: Waiver, row: GateRow, about: Mapping[str, Comparison]) -> bool:
    if waiver.task is not None:
        return row.task == waiver.task
    return row.task is not None and language_of(about[row.task]) == waiver.language


def _settle(gate: Gate, reading: Reading, rows: list[GateRow]) -> GateOutcome:
    """Decide a gate, and say of its rows, in place, what they mean for it."""
    left = [row for row in rows if row.outcome != "waived"]
    fails = sum(row.outcome == "fail" for row in left)
    unknown = sum(row.outcome == "warn" for row in left)
    allowed = reading.allowed(len(left))
    outcome: Outcome = "pass"
    if fails > allowed:
        outcome = "fail"
    elif fails + unknown > allowed:
        outcome = _policy(gate)
    observed = reading.observed(left)
    meant = {
        "fail": "fail" if outcome == "fail" else "allowed",
        "warn": "allowed" if outcome == "pass" else _policy(gate),
    }
    for n, row in enumerate(rows):
        rows[n] = row.model_copy(update={"outcome": meant.get(row.outcome, row.outcome)})
    bad = [row.name for row in rows if row.outcome == "fail"]
    return GateOutcome(
        gate=gate.id,
        rule=gate.rule,
        metric=None if isinstance(gate, SameGate) else gate.metric,
        outcome=outcome,
        limit=reading.limit,
        observed=observed,
        where=bad or [row.name for row in rows if row.outcome == "warn"],
        detectable_effect=reading.detectable,
        n=len(rows),
        n_fail=len(bad),
        n_warn=sum(row.outcome == "warn" for row in rows),
        n_waived=len(rows) - len(left),
    )


def _policy(gate: Gate) -> Literal["warn", "fail"]:
    """Return what a gate is that nothing can be said of."""
    return getattr(gate, "inconclusive", "warn")


def _said(waived: Waived) -> str:
    """Say why a waiver does nothing."""
    about = waived.language or waived.task
    if waived.state == "expired":
        return (
            f"the waiver of {waived.gate} for {about} expired on {waived.expires}: it does nothing"
        )
    return f"the waiver of {waived.gate} for {about} matches no failing row: it can go"
