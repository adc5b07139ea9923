"""The file of rules: what a candidate must keep, as TOML, checked before anything is compared."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from bayling_eval import languages, metrics, toml_files
from bayling_eval.errors import UserError, unknown
from bayling_eval.macro import Grouping, check_grouping
from bayling_eval.method import Method
from bayling_eval.metrics import HEADLINE, Metric, MetricSpec
from bayling_eval.records import Settings, Verdict

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeastZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Inconclusive = Literal["warn", "fail"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Gate(_Table):
    # true is no number, and "1.5" neither.
    model_config = ConfigDict(strict=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Name of the gate: letters, digits, ``.``, ``_`` and ``-``; no two gates share one."""


class _Selecting(_Gate):
    """A gate of rows, and which ones."""

    family: str | None = None
    """Only tasks of this family, ``flores200``."""
    side: str | None = None
    """Only directions of this side, ``eng_Latn-x``, ``x-eng_Latn``, ... or ``other``."""
    tasks: str | None = None
    """Only tasks whose name is like this, ``flores200_*-tha_Thai``."""
    languages: str | None = None
    """Only tasks with one of these on either side: codes and @sets, separated by commas."""


class CountGate(_Selecting):
    """``count``: at most so many rows have a verdict."""

    rule: Literal["count"]
    """``count``"""
    metric: str = HEADLINE
    """Metric that is judged, as written for ``--metric``."""
    inconclusive: Inconclusive = "warn"
    """What a gate is that nothing can be said of: ``warn`` or ``fail``."""
    verdict: tuple[Verdict, ...] = Field(default=("regressed",), min_length=1, strict=False)
    """The verdicts that count: one, or a list."""
    max: int = Field(default=0, ge=0)
    """How many rows may have one."""
    min_abs: AtLeastZero | None = None
    """Count a row only where the difference is at least this, whichever way."""

    @field_validator("verdict", mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given


class ProtectedGate(_Selecting):
    """``protected``: no row is worse by the limit or more (non-inferiority)."""

    rule: Literal["protected"]
    """``protected``"""
    languages: str
    """Only tasks with one of these on either side: codes and @sets, separated by commas."""
    metric: str = HEADLINE
    """Metric that is judged, as written for ``--metric``."""
    inconclusive: Inconclusive = "fail"
    """What a gate is that nothing can be said of: ``warn`` or ``fail``."""
    limit: Positive
    """Loss that must be ruled out."""


class MacroGate(_Gate):
    """``macro``: the mean difference of a group is at least so much."""

    rule: Literal["macro"]
    """``macro``"""
    metric: str = HEADLINE
    """Metric that is judged, as written for ``--metric``."""
    inconclusive: Inconclusive = "warn"
    """What a gate is that nothing can be said of: ``warn`` or ``fail``."""
    group: str
    """Group that is averaged, ``flores200 eng_Latn-x``."""
    by: str | None = None
    """Grouping that has the group, such as ``script``; by default ``suite`` and ``side``."""
    interval: Literal["these", "population"] = "these"
    """Interval that is held against ``min``: of these languages, or of languages like these."""
    min: Number
    """Mean gain that must be shown; less than 0 for a loss that may be."""


class HealthGate(_Selecting):
    """``health``: no row's rate rises by more than so much."""

    rule: Literal["health"]
    """``health``"""
    metric: str
    """Metric that is judged, as written for ``--metric``."""
    inconclusive: Inconclusive = "warn"
    """What a gate is that nothing can be said of: ``warn`` or ``fail``."""
    max_change: AtLeastZero
    """Change for the worse that may be: 0.02 is two points of a rate."""


class CoverageGate(_Selecting):
    """``coverage``: so large a share of the planned tasks is compared."""

    rule: Literal["coverage"]
    """``coverage``"""
    metric: str = HEADLINE
    """Metric that is judged, as written for ``--metric``."""
    min: float = Field(default=1.0, gt=0, le=1)
    """Share of the tasks, 0 to 1, that must have a comparison."""


class FloorGate(_Selecting):
    """``floor``: the candidate's own score is at least so much, whatever the baseline's is."""

    rule: Literal["floor"]
    """``floor``"""
    metric: str = HEADLINE
    """Metric that is judged, as written for ``--metric``."""
    inconclusive: Inconclusive = "fail"
    """What a gate is that nothing can be said of: ``warn`` or ``fail``."""
    min: Number | None = None
    """Score that must be reached, where higher is better."""
    max: Number | None = None
    """Score that must not be passed, where lower is better."""

    @model_validator(mode="after")
    def _one_limit(self) -> "FloorGate":
        if (self.min is None) == (self.max is None):
            raise ValueError("write min, or max where lower is better")
        return self


class SameGate(_Selecting):
    """``same``: settings are known on both sides, and equal."""

    rule: Literal["same"]
    """``same``"""
    require_same: tuple[str, ...] = Field(min_length=1, strict=False)
    """Fields of the settings, ``["prompt_set", "num_fewshot"]``."""


Selecting = CountGate | ProtectedGate | HealthGate | CoverageGate | FloorGate | SameGate
Gate = Annotated[Selecting | MacroGate, Field(discriminator="rule")]


class Waiver(_Table):
    """``[[waivers]]``: a failing row that somebody takes responsibility for."""

    model_config = ConfigDict(strict=True)

    gate: str
    """Gate that the row fails."""
    language: str | None = None
    """Language that the row is about: beside English or Chinese the other, else the target."""
    task: str | None = None
    """Name of the row's task, in place of a language."""
    reason: str = Field(min_length=1)
    """Why it may be."""
    by: str = Field(min_length=1)
    """Who says so."""
    expires: datetime.date
    """Last day on which it holds."""

    @model_validator(mode="after")
    def _one_target(self) -> "Waiver":
        if (self.language is None) == (self.task is None):
            raise ValueError("write language or task, one of them")
        return self

    @property
    def about(self) -> str:
        """What it covers, in a word."""
        return self.language or self.task or ""


class Rules(_Table):
    """A file of rules."""

    compare: Method | None = None
    """How the two systems are compared; options of the command line go first."""
    gates: tuple[Gate, ...] = Field(min_length=1, max_length=200)
    """What must hold."""
    waivers: tuple[Waiver, ...] = ()
    """Failing rows that do not count for a while."""
    _path: str = PrivateAttr("")
    _at: Mapping[str, str] = PrivateAttr({})

    @property
    def path(self) -> str:
        """Path of the file."""
        return self._path

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that gates name, each once, as written."""
        named = (gate.metric for gate in self.gates if not isinstance(gate, SameGate))
        return tuple(dict.fromkeys(named))

    @property
    def groupings(self) -> tuple[str, ...]:
        """What averages are needed over."""
        named = [gate.by for gate in self.gates if isinstance(gate, MacroGate) and gate.by]
        return tuple(dict.fromkeys((*Grouping().by, *named)))

    def at(self, gate: Gate) -> str:
        """Return where a gate stands, as the start of a message."""
        return f"{self._at.get(gate.id, '')}gate {gate.id!r}: "

    def check_directions(self) -> None:
        """Refuse metrics and limits that do not fit; code of a metric of the user's own runs.

        Raises:
            UserError: a metric has no better direction, or a floor's limit is on the wrong side.
        """
        for gate in self.gates:
            if isinstance(gate, SameGate):
                continue
            up = metrics.make(MetricSpec.parse(gate.metric)).higher_is_better
            if up is None:
                raise UserError(f"{self.at(gate)}metric {gate.metric!r} has no better direction")
            if isinstance(gate, FloorGate) and (gate.min is not None) != up:
                better, key = ("higher", "min") if up else ("lower", "max")
                raise UserError(
                    f"{self.at(gate)}of {gate.metric} {better} is better: write {key} = ..."
                )


def load(path: Path) -> Rules:
    """Read a file of rules; no code of a metric of the user's own runs yet.

    Raises:
        UserError: no such file, broken TOML, an unknown key, metric, language or gate, or a wrong
            value, with the line.
    """
    if not path.is_file():
        raise UserError(f"no rules at {path}: name a TOML file, docs/gates.md has examples")
    text = toml_files.read(path)
    rules = toml_files.parse(Rules, path, text)
    places = toml_files.places(path, text, "gates", len(rules.gates))
    rules._path, known = str(path), dict[str, str]()
    for gate, place in zip(rules.gates, places, strict=True):
        if gate.id in known:
            raise UserError(f"{place}gate {gate.id!r} stands there twice: give it another id")
        known[gate.id] = place
    rules._at = known
    for gate in rules.gates:
        _check_gate(gate, rules.at(gate))
    places = toml_files.places(path, text, "waivers", len(rules.waivers))
    for waiver, place in zip(rules.waivers, places, strict=True):
        _check_waiver(waiver, rules.gates, place)
    return rules


def made(rules: Rules) -> dict[str, Metric]:
    """Return the metrics that gates name, by what was written."""
    return metrics.parse(rules.metrics)


def _check_gate(gate: Gate, at: str) -> None:
    try:
        if isinstance(gate, SameGate):
            for field in gate.require_same:
                if field not in Settings.model_fields:
                    raise unknown("setting", field, Settings.model_fields)
            return
        metrics.make(MetricSpec.parse(gate.metric))
        if isinstance(gate, MacroGate) and gate.by:
            check_grouping([gate.by])
    except UserError as fault:
        raise UserError(f"{at}{fault}") from None


def _check_waiver(waiver: Waiver, gates: Sequence[Gate], place: str) -> None:
    found = {gate.id: gate for gate in gates}
    if waiver.gate not in found:
        raise UserError(f"{place}{unknown('gate', waiver.gate, found)}")
    if isinstance(found[waiver.gate], MacroGate | SameGate):
        raise UserError(
            f"{place}gate {waiver.gate!r} judges no single task, so none can be waived: "
            "change its limit"
        )
    if waiver.language is not None:
        try:
            languages.get(waiver.language)
        except UserError as fault:
            raise UserError(f"{place}{fault}") from None
