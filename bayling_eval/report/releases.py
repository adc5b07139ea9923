"""A ``report.json`` of an earlier release, read with no more trust than any other file."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayling_eval.errors import UserError
from bayling_eval.report.document import SCHEMA
from bayling_eval.report.figures import drawn

Number = Annotated[float, Field(allow_inf_nan=False)]
Key = tuple[str, str, str, str]
"""Task, metric, signature and digest of the documents: scores of one key can be compared."""


class _Part(BaseModel):
    """What is read of a ``report.json``; what else is in it does not matter."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Row(_Part):
    metric: str
    baseline: str
    verdict: str


def words(name: str) -> str:
    """Return a group of a suite or side in words: ``flores200, English → X``."""
    family, _, side = name.rpartition(" ")
    return f"{family}, {'all tasks' if side == 'all' else drawn.side_title(side)}"


class Mean(_Part):
    """Mean difference of a release from its deciding baseline, over a group."""

    group: str
    by: str
    tasks: str
    metric: str
    baseline: str
    delta: Number | None
    ci_low: Number | None
    ci_high: Number | None
    n: int
    n_expected: int

    @property
    def words(self) -> str:
        """The group in words."""
        return words(self.group)


class _Score(_Part):
    system: str
    model: str
    settings: str
    task: str
    metric: str | None
    signature: str | None
    documents_digest: str | None
    value: Number | None
    stderr: Number | None = None
    status: str


class _System(_Part):
    name: str
    role: str
    label: str


class _Provenance(_Part):
    systems: list[_System]


class _Document(_Part):
    name: str
    candidate: str
    baselines: list[str] = Field(min_length=1)
    headline_metric: str
    rows: list[_Row]
    macro: list[Mean]
    scores: list[_Score]
    provenance: _Provenance


@dataclass(frozen=True)
class Release:
    """One earlier report."""

    path: str
    """File that it was read from."""
    name: str
    """Name of the report."""
    candidate: str
    """System that was judged."""
    label: str
    """``name@model8`` of it."""
    baseline: str
    """Its deciding baseline."""
    metric: str
    """Its headline metric."""
    regressed: int
    """Directions that regressed against the deciding baseline."""
    improved: int
    """Directions that improved."""
    rows: int
    """Directions that were compared, or should have been."""
    means: tuple[Mean, ...]
    """Its averages by suite and side in the headline metric."""
    shared: int
    """Tasks under the present headline whose score can be held against the present one."""


@dataclass(frozen=True)
class Known:
    """A release with its scores."""

    release: Release
    scores: Mapping[Key, tuple[float, float | None]]


def content(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as fault:
        raise UserError(f"{path}: {fault.strerror}: name the report.json of a release") from None


def _document(path: Path, text: bytes) -> _Document:
    """Read one file; what is no number in JSON is refused."""

    def refuse(name: str) -> float:
        raise UserError(f"{path}: {name} is no JSON number: make the report again")

    try:
        found = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: not JSON: name the report.json of a release") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        kind, _, version = str(schema).rpartition("/")
        newer = kind == SCHEMA.rpartition("/")[0] and version.isdecimal()
        if newer and int(version) > int(SCHEMA.rpartition("/")[2]):
            raise UserError(
                f"{path}: written by a newer version of bayling_eval ({str(schema)[:60]}, this one "
                f"reads {SCHEMA}): update bayling_eval"
            )
        raise UserError(
            f"{path}: its schema is {str(schema)[:60]!r} and not {SCHEMA!r}: name the report.json "
            "that `bayling-eval report NAME --candidate C --baseline B` wrote"
        )
    try:
        return _Document.model_validate(found)
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: field {where}: {first['msg']}: make the report again") from None


def known(path: Path, text: bytes, present: Collection[Key]) -> Known:
    """Return a release out of the bytes of its file; ``present`` are the scores it is held against.

    Raises:
        UserError: not JSON, no report, one of a newer version, or not of its shape.
    """
    found = _document(path, text)
    metric, baseline = found.headline_metric, found.baselines[0]
    own = [row for row in found.rows if (row.metric, row.baseline) == (metric, baseline)]
    verdicts = [row.verdict for row in own]
    candidates = [s.label for s in found.provenance.systems if s.role == "candidate"]
    label = candidates[0] if candidates else found.candidate
    scores = {
        (row.task, metric, row.signature, row.documents_digest): (row.value, row.stderr)
        for row in found.scores
        if row.metric == metric and row.status == "ok" and _is(row, label)
        if row.signature and row.documents_digest and row.value is not None
    }
    release = Release(
        str(path),
        found.name,
        found.candidate,
        label,
        baseline,
        metric,
        verdicts.count("regressed"),
        verdicts.count("improved"),
        len(own),
        tuple(
            mean
            for mean in found.macro
            if (mean.metric, mean.baseline, mean.tasks) == (metric, baseline, "pair")
            and mean.by in ("suite", "side")
        ),
        len(scores.keys() & set(present)),
    )
    return Known(release, scores)


def _is(row: _Score, label: str) -> bool:
    """Return whether a score is of the system ``name@model8`` or ``name@model8/settings8``."""
    own = f"{row.system}@{row.model}"
    return label in (own, f"{own}/{row.settings}")
