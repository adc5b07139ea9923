"""One cell from answers to scores: samples, statistics, scores, and last the manifest.

What was scored before and has not changed is taken over: a new metric or direction costs only
itself.
"""

import fnmatch
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bayling_eval import metrics, responses, sources, store, tables, tasks
from bayling_eval.errors import IncompleteError, UserError, unknown
from bayling_eval.metrics import Metric, MetricSpec, Segments, Statistics
from bayling_eval.provenance import digest, digest_lines, versions
from bayling_eval.records import Job, Manifest, PlannedTask, Score, ScoredTask, ScoresFile
from bayling_eval.rows import blank
from bayling_eval.statistics import bootstrap_sums, interval
from bayling_eval.store import Cell
from bayling_eval.tables import Sample, Stored

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What the user asked to be scored, and how."""

    metrics: tuple[MetricSpec, ...] = ()
    """Metrics; when none is given, those a task was scored with before, else the default ones."""
    references: tuple[str, ...] = ()
    """``A``, ``A,B`` or ``cs-en=B``: references instead of all of a pair's; the last wins."""
    tasks: str = "*"
    """Tasks to score, a glob over their names; what the others had stays."""
    data: Path | None = None
    """Data folder; none is the hub."""
    jobs: int = 1
    """Processes that count."""


@dataclass(frozen=True)
class _Task:
    """One planned task with its texts."""

    plan: PlannedTask
    origin: sources.Parallel
    answers: tuple[str, ...]
    request_ids: tuple[str, ...]

    @functools.cached_property
    def scored(self) -> ScoredTask:
        origin = self.origin
        return ScoredTask(
            answers_digest=digest_lines(self.answers),
            sources_digest=digest_lines(origin.sources),
            references={name: digest_lines(lines) for name, lines in origin.references.items()},
            documents_digest=digest_lines(origin.documents) if origin.documents else None,
            n_empty=sum(not answer.strip() for answer in self.answers),
            data_files={file.path: file.sha256 for file in origin.files},
        )

    def segments(self, names: tuple[str, ...]) -> Segments:
        chosen = {name: self.origin.references[name] for name in names}
        return Segments(self.origin.tgt_lang, self.answers, chosen)


def score_cell(cell: Cell, order: Order, progress: Progress = lambda _: None) -> bool:
    """Score one cell; return whether there was anything to do.

    Raises:
        UserError: an unknown metric or reference, or data that do not fit.
        IncompleteError: answers are missing or damaged.
    """
    metrics_made = {str(spec): metrics.make(spec) for spec in order.metrics}
    loaded = _load(cell, order.data)
    manifest = cell.manifest()
    old = _kept(cell, manifest, loaded)
    jobs = _jobs(loaded, order, manifest.jobs if manifest else [])
    wanted = {job.task for job in jobs}
    loaded = [task for task in loaded if task.plan.task in wanted]
    for job in jobs:
        metrics_made.setdefault(job.metric, metrics.make(MetricSpec.parse(job.metric)))
    inputs = _inputs_digest(cell, loaded, jobs)
    if manifest and manifest.inputs_digest == inputs and cell.whole():
        return False
    todo = [job for job in jobs if job not in old]
    by_name = {task.plan.task: task for task in loaded}
    found = dict(zip(todo, _count(todo, by_name, order.jobs, progress), strict=True))
    stored = [old[job] if job in old else _stored(job, found[job]) for job in jobs]
    rows = _rows(cell, stored, by_name, metrics_made, {job for job in jobs if job in old})
    _save(cell, loaded, stored, rows, inputs)
    return True


def check_order(cells: Iterable[Cell], order: Order) -> None:
    """Refuse a glob without tasks and references that a task does not have, before any work.

    Raises:
        UserError: see above.
    """
    planned = [task for cell in cells for task in cell.plan().tasks.values()]
    chosen = [task for task in planned if fnmatch.fnmatchcase(task.task, order.tasks)]
    if planned and not chosen:
        raise unknown("task of these systems", order.tasks, {task.task for task in planned})
    for task in chosen if order.references else ():
        if task.src_lang and task.tgt_lang:
            pair = (task.src_lang, task.tgt_lang)
            have = sources.reference_names(task.family, *pair, order.data)
            choose_references(task, have, order.references)


def choose_references(
    task: PlannedTask, names: Iterable[str], asked: Sequence[str]
) -> tuple[str, ...]:
    """Return the references of a task to score against: all, unless the user chose.

    Raises:
        UserError: the task has no such reference.
    """
    have = tuple(names)
    if have == ("ref",):
        return have
    chosen = have
    for text in asked:
        pair, equals, wanted = text.rpartition("=")
        if equals and not _is_pair(task, pair):
            continue
        chosen = tuple(wanted.split(","))
    for name in chosen:
        if name not in have:
            raise UserError(
                f"{task.task} has no reference {name!r}, it has {', '.join(have)}: "
                f"add --references {task.src_lang}-{task.tgt_lang}={have[0]}"
            )
    return tuple(sorted(chosen))


def _is_pair(task: PlannedTask, pair: str) -> bool:
    found = tasks.find(f"{task.family}_{pair}")
    return found.name == task.task


def _load(cell: Cell, data: Path | None) -> list[_Task]:
    log = responses.read(cell.responses)
    return [_task(cell, planned, log, data) for planned in cell.plan().tasks.values()]


def _task(cell: Cell, planned: PlannedTask, log: responses.Log, data: Path | None) -> _Task:
    if planned.src_lang is None or planned.tgt_lang is None:
        raise UserError(
            f"{planned.task}: only translation tasks can be scored from imported outputs"
        )
    origin = sources.parallel(planned.family, planned.src_lang, planned.tgt_lang, data)
    ids = tuple(
        responses.request_id(planned.task, index, source)
        for index, source in enumerate(origin.sources)
    )
    answers = [log.answers.get(request) for request in ids]
    missing = sum(answer is None for answer in answers)
    if len(ids) != planned.n or missing:
        damaged = f"; {len(log.bad)} damaged records, the first at {log.bad[0]}" if log.bad else ""
        raise IncompleteError(
            f"{cell.system.name}: {missing} of {len(ids)} answers for {planned.task} are missing "
            f"(planned on {planned.n} segments{damaged}): check --data, or import the outputs again"
        )
    return _Task(planned, origin, tuple(a.answer for a in answers if a is not None), ids)


def _kept(cell: Cell, manifest: Manifest | None, loaded: list[_Task]) -> dict[Job, Stored]:
    """Return the stored statistics whose inputs are still the same."""
    if manifest is None or not cell.whole():
        return {}
    if manifest.versions != _versions():
        return {}
    now = {task.plan.task: task.scored for task in loaded}
    kept = {}
    for entry in tables.read_statistics(cell.folder / store.STATISTICS):
        then, task = manifest.tasks.get(entry.task), now.get(entry.task)
        if (
            then
            and task
            and then.answers_digest == task.answers_digest
            and all(then.references.get(n) == task.references.get(n) for n in entry.references)
        ):
            kept[_job(entry)] = entry
    return kept


def _jobs(loaded: list[_Task], order: Order, before: list[Job]) -> list[Job]:
    """Return what the scores shall hold: what they held, and what is asked for now."""
    jobs: dict[Job, None] = {}
    for task in loaded:
        had = [job for job in before if job.task == task.plan.task]
        for job in had:
            choose_references(task.plan, task.origin.references, [",".join(job.references)])
        jobs.update(dict.fromkeys(had))
        if not fnmatch.fnmatchcase(task.plan.task, order.tasks):
            continue
        if had and not order.metrics and not order.references:
            continue
        names = choose_references(task.plan, task.origin.references, order.references)
        specs = [str(spec) for spec in order.metrics] or list(metrics.DEFAULT)
        jobs.update(
            dict.fromkeys(Job(task=task.plan.task, metric=spec, references=names) for spec in specs)
        )
    return list(jobs)


def _count(
    jobs: list[Job], loaded: Mapping[str, _Task], processes: int, progress: Progress
) -> list[Statistics]:
    """Count the statistics of each job, a task's jobs together, in processes if that pays."""
    groups = [list(group) for _, group in itertools.groupby(jobs, key=lambda job: job.task)]
    work = [
        ([(job.metric, loaded[job.task].segments(job.references)) for job in group])
        for group in groups
    ]
    if processes < 2 or len(work) < 2:
        results: Iterable[list[Statistics]] = map(count_task, work)
        return _collect(results, groups, progress)
    with ProcessPoolExecutor(processes) as pool:
        return _collect(pool.map(count_task, work), groups, progress)


def _collect(
    results: Iterable[list[Statistics]], groups: list[list[Job]], progress: Progress
) -> list[Statistics]:
    found = []
    for group, counted in zip(groups, results, strict=True):
        progress(group[0].task)
        found += counted
    return found


def count_task(work: list[tuple[str, Segments]]) -> list[Statistics]:
    """Count the statistics of one task under several metrics (the unit of work of a process)."""
    return [metrics.make(MetricSpec.parse(spec)).statistics(segments) for spec, segments in work]


def _job(entry: Stored) -> Job:
    return Job(task=entry.task, metric=entry.spec, references=entry.references)


def _stored(job: Job, found: Statistics) -> Stored:
    name = MetricSpec.parse(job.metric).name
    return Stored(job.task, name, found.signature, job.metric, job.references, found.values)


def _rows(
    cell: Cell,
    stored: list[Stored],
    loaded: Mapping[str, _Task],
    made: Mapping[str, Metric],
    unchanged: set[Job],
) -> list[Score]:
    before = {
        (row.task, row.metric, row.signature): row for row in (cell.scores() if unchanged else [])
    }
    rows = []
    for entry in stored:
        row = before.get((entry.task, entry.metric, entry.signature))
        kept = _job(entry) in unchanged
        if row is None or not kept:
            row = _score(cell, entry, loaded[entry.task], made[entry.spec])
        rows.append(row)
    return rows


def _score(cell: Cell, entry: Stored, task: _Task, metric: Metric) -> Score:
    value = float(metric.aggregate(entry.values.sum(axis=0)))
    samples = metric.aggregate(bootstrap_sums(entry.values))
    row = blank(cell, task.plan, "ok").model_copy(
        update={
            "metric": entry.metric,
            "signature": entry.signature,
            "higher_is_better": metric.higher_is_better,
            "documents_digest": digest(
                [
                    task.scored.sources_digest,
                    {n: task.scored.references[n] for n in entry.references},
                ]
            ),
        }
    )
    if not np.isfinite(value):
        return row.model_copy(
            update={
                "status": "unscored",
                "n_unscored": row.n,
                "reason": "the metric is not defined on these texts",
            }
        )
    low, high = interval(samples) if np.isfinite(samples).all() else (None, None)
    stderr = float(samples.std(ddof=1)) if low is not None else None
    return row.model_copy(update={"value": value, "stderr": stderr, "ci_low": low, "ci_high": high})


def _save(
    cell: Cell, loaded: list[_Task], stored: list[Stored], rows: list[Score], inputs: str
) -> None:
    samples = [
        Sample.of(task.plan.task, task.origin, task.answers, task.request_ids) for task in loaded
    ]
    content = {
        store.SAMPLES: tables.samples_bytes(samples),
        store.STATISTICS: tables.statistics_bytes(stored),
        store.SCORES: (ScoresFile(rows=rows).model_dump_json(indent=0) + "\n").encode(),
    }
    for name, data in content.items():
        store.write_atomic(cell.path(name), data)
    store.save(
        cell.path(store.MANIFEST),
        Manifest(
            inputs_digest=inputs,
            tasks={task.plan.task: task.scored for task in loaded},
            jobs=[_job(entry) for entry in stored],
            files={name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
            versions=_versions(),
        ),
    )


def _inputs_digest(cell: Cell, loaded: list[_Task], jobs: list[Job]) -> str:
    return digest(
        {
            "model": cell.system.model.digest,
            "settings": cell.settings_file.digest,
            "tasks": {
                t.plan.task: [tasks.digest(tasks.find(t.plan.task)), t.scored.model_dump()]
                for t in loaded
            },
            "jobs": sorted([job.task, job.metric, *job.references] for job in jobs),
            "versions": _versions(),
        }
    )


@functools.cache
def _versions() -> dict[str, str]:
    return versions("bayling-eval", "lm-eval", "sacrebleu")
