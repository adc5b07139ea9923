"""A ``report.json`` of an earlier release, read with no more trust than any other file."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayling_eval.errors import UserError
from bayling_eval.report.document import SCHEMA
from bayling_eval.report.figures import drawn

Number = Annotated[float, Field(allow_inf_nan=False)]
Error = Annotated[float, Field(allow_inf_nan=False, ge=0)]
Key = tuple[str, str, str, str]
"""Task, metric, signature and digest of the documents: scores of one key can be compared."""


# Far beyond any score of a headline metric, and far from where sums of them overflow.
_LARGEST = 1e12


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
    stderr: Error | None = None
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


Scores = Mapping[Key, tuple[float, float | None]]
"""Value and standard error of what can be compared."""


@dataclass(frozen=True)
class Loaded:
    """A file that was read and found in order, not yet held against anything."""

    path: Path
    document: _Document
    label: str
    """``name@model8`` of the system that was judged."""
    scores: Scores
    """Its scores."""


@dataclass(frozen=True)
class Known:
    """A release with its scores."""

    release: Release
    scores: Scores


def load(paths: Sequence[Path]) -> tuple[Loaded, ...]:
    """Read the ``report.json`` of each release.

    Raises:
        UserError: a file is not there, no report of ours, of a newer version, damaged, or given
            twice.
    """
    seen: dict[str, Path] = {}
    found = []
    for path in paths:
        content = _content(path)
        digest = hashlib.sha256(content).hexdigest()
        if digest in seen:
            raise UserError(f"{path}: the same report as {seen[digest]}: name each release once")
        seen[digest] = path
        document = _document(path, content)
        own = [s.label for s in document.provenance.systems if s.role == "candidate"]
        label = own[0] if own else document.candidate
        found.append(Loaded(path, document, label, _scores(path, document, label)))
    return tuple(found)


def _content(path: Path) -> bytes:
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
        ours = kind == SCHEMA.rpartition("/")[0] and re.fullmatch("[0-9]{1,9}", version)
        if ours and int(version) > int(SCHEMA.rpartition("/")[2]):
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


def _scores(path: Path, found: _Document, label: str) -> Scores:
    """Return the candidate's scores under the headline metric; refuse what cannot be one."""
    metric = found.headline_metric
    for mean in found.macro:
        numbers = (mean.delta, mean.ci_low, mean.ci_high)
        if mean.metric == metric and max(abs(number or 0.0) for number in numbers) > _LARGEST:
            raise _damaged(path, f"a mean of {mean.group[:80]!r} is beyond {_LARGEST:g}")
    scores: dict[Key, tuple[float, float | None]] = {}
    for row in found.scores:
        if row.metric != metric or row.status != "ok" or not _is(row, label):
            continue
        if not row.signature or not row.documents_digest or row.value is None:
            continue
        if max(abs(row.value), row.stderr or 0.0) > _LARGEST:
            raise _damaged(path, f"the score of {row.task[:80]!r} is beyond {_LARGEST:g}")
        key, own = (row.task, metric, row.signature, row.documents_digest), (row.value, row.stderr)
        if scores.setdefault(key, own) != own:
            raise _damaged(path, f"two scores of {row.task[:80]!r}, of one signature")
    return scores


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path}: {what}: make the report again")


def known(one: Loaded, present: Collection[Key]) -> Known:
    """Return a release out of its file; ``present`` are the scores it is held against."""
    found, label, scores = one.document, one.label, one.scores
    metric, baseline = found.headline_metric, found.baselines[0]
    own = [row for row in found.rows if (row.metric, row.baseline) == (metric, baseline)]
    verdicts = [row.verdict for row in own]
    release = Release(
        str(one.path),
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
