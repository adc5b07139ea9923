"""What gates say, as it is printed: the records of the document ``bayling_eval.gate/1``."""

from dataclasses import dataclass
from typing import Literal

from bayling_eval.compare import Comparisons
from bayling_eval.gate.rules import Rules
from bayling_eval.records import Record

RowOutcome = Literal["pass", "allowed", "warn", "fail", "waived"]
GateVerdict = Literal["ready", "not_ready", "incomplete", "incomparable"]


class Sample(Record):
    """A segment that shows a failing row best; its texts are whole, and hostile."""

    doc_id: int
    """Number of the segment, from 0."""
    source: str
    """Source text."""
    reference: str
    """First reference."""
    candidate: str
    """Output of the candidate."""
    baseline: str | None
    """Output of the baseline; null where it has none."""
    candidate_score: float | None
    """Score of the candidate's output; null where it has none."""
    baseline_score: float | None
    """Score of the baseline's."""


class Waived(Record):
    """A waiver, and what became of it."""

    gate: str
    """Gate that it is for."""
    language: str | None
    """Language of the rows that it covers."""
    task: str | None
    """Task of the row that it covers."""
    reason: str
    """Why it may be."""
    by: str
    """Who says so."""
    expires: str
    """Last day on which it holds."""
    state: Literal["used", "unused", "expired"]
    """Whether it covers a failing row, none, or holds no more."""
    tasks: list[str]
    """Tasks of the rows that it covers."""


class GateRow(Record):
    """One row behind a gate: a task under a metric, a mean, or the settings of a family."""

    gate: str
    """Gate that judged it."""
    rule: str
    """Rule of the gate."""
    name: str
    """What it is called: its direction, task, group or family."""
    task: str | None = None
    """Name of the task; null for a mean and for settings."""
    family: str | None = None
    """Benchmark family."""
    src_lang: str | None = None
    """Source language of a translation task."""
    tgt_lang: str | None = None
    """Target language of a translation task."""
    lang: str | None = None
    """Language of any other task."""
    metric: str | None = None
    """Name of the metric."""
    signature: str | None = None
    """What exactly was computed."""
    outcome: RowOutcome
    """``allowed`` fails, but not more than the gate lets pass; ``warn`` is inconclusive."""
    candidate_value: float | None = None
    """Score of the candidate."""
    baseline_value: float | None = None
    """Score of the baseline."""
    delta: float | None = None
    """Candidate minus baseline."""
    ci_low: float | None = None
    """Lower end of the interval that the gate judged by; of the score itself for ``floor``."""
    ci_high: float | None = None
    """Upper end of it."""
    sentence: str
    """What was found."""
    waiver: Waived | None = None
    """Who waived it, and why."""
    sample: Sample | None = None
    """The segment that shows it best; null where there are no texts, or for further rows."""


class GateOutcome(Record):
    """What one gate says."""

    gate: str
    """Name of the gate."""
    rule: str
    """Its rule."""
    metric: str | None
    """Metric that it judges, as written; null where it judges none."""
    outcome: Literal["pass", "warn", "fail"]
    """Whether what it asks for holds; ``warn`` where that cannot be said."""
    limit: str
    """What it asks for."""
    observed: str
    """What there is."""
    where: list[str]
    """The rows that it fails or warns for, worst first."""
    detectable_effect: float | None
    """Largest of the rows' differences that would be found with 80 % power; null without tests."""
    n: int
    """Rows that it judged."""
    n_fail: int
    """Rows that fail it."""
    n_warn: int
    """Rows that nothing can be said of."""
    n_waived: int
    """Failing rows that are waived, and do not count."""


@dataclass(frozen=True)
class Judgement:
    """What all gates say of one comparison."""

    rules: Rules
    pair: Comparisons
    gates: tuple[GateOutcome, ...]
    """In the order of the file."""
    rows: tuple[GateRow, ...]
    """Of each gate in its order, worst first."""
    waivers: tuple[Waived, ...]
    """In the order of the file."""
    notes: tuple[str, ...] = ()
    """What a reader should know beside."""

    @property
    def failed(self) -> int:
        """How many gates fail."""
        return sum(gate.outcome == "fail" for gate in self.gates)

    @property
    def verdict(self) -> GateVerdict:
        """A failing gate decides, then what a system's own plan lacks, then what compares."""
        if self.failed:
            return "not_ready"
        if self.pair.incomplete:
            return "incomplete"
        if not any(row.delta is not None for row in self.pair.rows):
            return "incomparable"
        return "ready"

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        n, waived = len(self.gates), sum(one.state == "used" for one in self.waivers)
        warned = sum(gate.outcome == "warn" for gate in self.gates)
        passed = n - self.failed - warned
        said = f"{_counted(passed, 'gate passes', 'gates pass')}" + (
            f", {warned} {'warns' if warned == 1 else 'warn'}" if warned else ""
        )
        match self.verdict:
            case "not_ready":
                of = "gate fails" if n == 1 else "gates fails" if self.failed == 1 else "gates fail"
                text = f"not ready: {self.failed} of {n} {of}"
            case "incomplete":
                lacking = _counted(
                    len(self.pair.incomplete), "planned task has", "planned tasks have"
                )
                text = f"incomplete: {lacking} no valid score; {said}"
            case "incomparable":
                text = f"not comparable: no task has a comparison; {said}"
            case _:
                text = f"ready: {said}"
        return text + (f"; {_counted(waived, 'waiver', 'waivers')} used" if waived else "")


def _counted(n: int, one: str, several: str) -> str:
    return f"{n} {one if n == 1 else several}"
