"""What the scores of a cell shall hold, and what of that is there already.

What was scored before and has not changed is taken over: a new metric or direction costs only
itself.
"""

import fnmatch
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayling_eval import metrics, references, store
from bayling_eval.answers import Origin
from bayling_eval.errors import UserError, unknown
from bayling_eval.metrics import MetricSpec
from bayling_eval.provenance import versions
from bayling_eval.records import Job, Manifest, PlannedTask, Score, ScoredTask
from bayling_eval.store import Cell
from bayling_eval.tables import SamplesReader, StatisticsReader, Stored
from bayling_eval.tasks import Task


@dataclass(frozen=True)
class Order:
    """What the user asked to be scored, and how."""

    metrics: tuple[MetricSpec, ...] = ()
    """Metrics; when none is given, those a task was scored with before, else the default ones."""
    references: tuple[str, ...] = ()
    """``A``, ``A,B`` or ``cs-en=B``; the last that fits a pair wins. None: those a task was scored
    with last, else all that the pair has."""
    tasks: str = "*"
    """Tasks to score, a glob over their names; what the others had stays."""
    reset: bool = False
    """Forget the metrics and references that the selected tasks were scored with before."""
    data: Path | None = None
    """Data folder; none is the hub."""
    include: tuple[Path, ...] = ()
    """Folders of a user's own tasks."""
    jobs: int = 1
    """Processes that count, where no workers are handed over."""
    wait: bool = False
    """Wait for another process that works on the system: shards of one run may end together."""

    def selects(self, planned: PlannedTask) -> bool:
        """Return whether a task is to be scored."""
        return fnmatch.fnmatchcase(planned.task, self.tasks)


@dataclass(frozen=True)
class Before:
    """What a cell holds already."""

    cell: Cell
    manifest: Manifest | None
    trusted: bool
    """Whether every file is what the manifest names, counted by these versions."""

    @classmethod
    def of(cls, cell: Cell) -> "Before":
        """Look at a cell."""
        manifest = cell.manifest()
        trusted = manifest is not None and manifest.versions == counted_by() and cell.whole()
        return cls(cell, manifest, trusted)

    @functools.cached_property
    def signatures(self) -> Mapping[Job, str]:
        """What each job's statistics are; none where the files cannot be trusted."""
        return self._statistics.signatures() if self.trusted else {}

    @functools.cached_property
    def jobs(self) -> Mapping[str, list[Job]]:
        """What each task was scored with."""
        found: dict[str, list[Job]] = {}
        for job in self.manifest.jobs if self.manifest else ():
            found.setdefault(job.task, []).append(job)
        return found

    def scored(self, task: str) -> ScoredTask | None:
        """Return what the scores of a task were computed from."""
        return self.manifest.tasks.get(task) if self.manifest and self.trusted else None

    def made(self, work: "Work") -> dict[Job, tuple[Stored, Score]]:
        """Return what a task keeps: statistics and scores."""
        entries = {_job(e): e for e in self._statistics.of(work.planned.task)} if work.kept else {}
        return {job: (entries[job], self._rows[_identity(entries[job])]) for job in work.kept}

    def samples(self, task: str) -> Any:
        """Return the texts of a task as they were kept."""
        return self._samples.of(task)

    @functools.cached_property
    def _statistics(self) -> StatisticsReader:
        return StatisticsReader(self.cell.path(store.STATISTICS))

    @functools.cached_property
    def _samples(self) -> SamplesReader:
        return SamplesReader(self.cell.path(store.SAMPLES))

    @functools.cached_property
    def _rows(self) -> Mapping[tuple[str, ...], Score]:
        return {_identity(row): row for row in self.cell.scores()}


@dataclass(frozen=True)
class Work:
    """One planned task: what its scores shall hold, and what of that can be taken over."""

    planned: PlannedTask
    jobs: tuple[Job, ...]
    kept: frozenset[Job]
    """Those whose statistics stand as they are."""
    origin: Origin | None
    """Its texts; none where the task is not selected."""

    @property
    def todo(self) -> list[Job]:
        """Return what is to be counted."""
        return [job for job in self.jobs if job not in self.kept] if self.origin else []


def check_order(cells: Iterable[Cell], order: Order) -> None:
    """Refuse what cannot be scored, before any work: the glob, references, data, metrics.

    Raises:
        UserError: no task has such a name or metric, a task has no such reference, or its data do
            not fit.
    """
    planned = [task for cell in cells for task in cell.plan().tasks.values()]
    chosen = [task for task in planned if order.selects(task)]
    if planned and not chosen:
        raise unknown("task of these systems", order.tasks, {task.task for task in planned})
    found = []
    for task in chosen:
        origin = _origin(task, order)
        references.choose(task, origin.references, order.references)
        found.append(origin.task)
    for spec in order.metrics if found else ():
        metrics.ready(spec)
        metric = str(spec)
        if not any(_fits(metric, task) for task in found):
            have = ", ".join(sorted({name for task in found for name in _default(task)}))
            raise UserError(f"none of these tasks has metric {metric!r}, they have: {have}")


def _origin(planned: PlannedTask, order: Order) -> Origin:
    return Origin.of(planned, order.data, order.include)


def _fits(metric: str, task: Task) -> bool:
    """Return whether a metric is for a task: for translations those of texts, else its own."""
    spec = MetricSpec.parse(metric)
    of_texts = metrics.make(spec).of_texts
    if of_texts or task.tgt_lang is not None:
        return of_texts and task.tgt_lang is not None
    if task.output_type in metrics.ANY_TASK.get(spec.name, ()):
        return True
    return spec.name in task.metrics and dict(spec.options).get("filter", "none") in task.filters


def _default(task: Task) -> list[str]:
    """Return the metrics of a task that was never scored: of other tasks those that it names."""
    if task.tgt_lang is not None:
        return list(metrics.DEFAULT)
    known = [name for name in task.metrics if name in metrics.METRICS]
    return [
        name if pipeline == "none" else f"{name}:filter={pipeline}"
        for pipeline in task.filters
        for name in known
    ]


def work_of(planned: PlannedTask, order: Order, before: Before) -> Work:
    """Decide what the scores of a task shall hold: what they held, and what is asked for now."""
    name, had, then = planned.task, before.jobs.get(planned.task, []), before.scored(planned.task)
    same = then is not None and then.answers_digest == planned.answers_digest
    if planned.answers_digest is None:
        return Work(planned, tuple(had), frozenset(), None)
    if not order.selects(planned):
        kept = frozenset(job for job in had if same and job in before.signatures)
        return Work(planned, tuple(had), kept, None)
    origin = _origin(planned, order)
    asked_for = [str(metrics.pinned(m)) for m in order.metrics if _fits(str(m), origin.task)]
    # What is asked for may be of another kind of task alone: then nothing is forgotten here.
    forgotten = order.reset and (asked_for or not order.metrics)
    jobs = [] if forgotten else [job for job in had if _fits(job.metric, origin.task)]
    for job in jobs:
        references.choose(planned, origin.references, [",".join(job.references)])
    if order.metrics or order.references or not jobs:
        last = [",".join(jobs[-1].references)] if jobs else []
        asked = order.references or last
        chosen = references.choose(planned, origin.references, asked)
        specs = asked_for if order.metrics else _default(origin.task)
        jobs = [*jobs, *(Job(task=name, metric=s, references=chosen) for s in specs)]
    files = {file.path: file.sha256 for file in origin.files}
    same = same and then is not None and then.data_files == files
    kept = frozenset(job for job in jobs if same and _stands(job, before))
    work = Work(planned, _distinct(jobs, origin.tgt_lang), kept, origin)
    for job in work.todo:
        _check_ready(MetricSpec.parse(job.metric), order)
    return work


def _stands(job: Job, before: Before) -> bool:
    """Return whether the stored statistics of a job are what would be counted now."""
    stored = before.signatures.get(job)
    return stored is not None and metrics.stands(MetricSpec.parse(job.metric), stored)


def _check_ready(spec: MetricSpec, order: Order) -> None:
    """Refuse what cannot be counted; code of a user's own runs only where the user names it."""
    if spec.file and spec not in order.metrics:
        if not spec.file.is_file():
            metrics.ready(spec)
        raise UserError(
            f"{spec.file} has to run again for metric {spec}: it is code, so read it, and name it "
            f"with `bayling-eval score --metric {spec}`, or forget it with --reset"
        )
    metrics.ready(spec)


def _distinct(jobs: list[Job], tgt_lang: str) -> tuple[Job, ...]:
    """Leave out a job that would give the same row as an earlier one, however it is spelled."""
    found: dict[tuple[str, str], Job] = {}
    for job in jobs:
        spec = MetricSpec.parse(job.metric)
        metric = metrics.make(spec)
        # To ask a metric of the user's own would run its code.
        same = (
            f"{spec} {job.references}" if spec.file else metric.signature(tgt_lang, job.references)
        )
        found.setdefault((metric.name, same), job)
    return tuple(found.values())


def _job(entry: Stored) -> Job:
    return Job(task=entry.task, metric=entry.spec, references=entry.references)


def _identity(row: Score | Stored) -> tuple[str, ...]:
    return (row.task, str(row.metric), str(row.signature))


@functools.cache
def counted_by() -> dict[str, str]:
    """Return the versions that make a score what it is."""
    return versions("bayling-eval", "lm-eval", "sacrebleu")
