"""From texts to scores: one task of many systems at a time, in processes."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from bayling_eval import metrics
from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec, Segments, Statistics
from bayling_eval.records import Job, PlannedTask, Score, ScoredTask
from bayling_eval.rows import scored_row
from bayling_eval.store import Cell
from bayling_eval.tables import Numbers, Stored

Batch = list[tuple[str, Segments]]
Made = dict[Job, tuple[Stored, Score]]
R = TypeVar("R")


class Workers:
    """Processes that count; started when first needed, and kept for all cells of a command.

    To start one takes a second, and what it knows of words and references stays with it.
    """

    def __init__(self, processes: int) -> None:
        """Set up; less than two processes are this one."""
        self.processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, function: Callable[[Any], R], argument: Any) -> "Future[R]":
        """Have a process do something; both are pickled."""
        if not self._pool:
            # Threads of OpenBLAS wait in a busy loop: with two on each of two cores, resampling
            # takes 15 ms instead of 2.5. Sums of whole numbers are the same, others to 15 digits.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            # Not fork: a child that inherits pyarrow's threads half-way can hang.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self.processes, mp_context=context, initializer=_end_with_parent
            )
        return self._pool.submit(function, argument)


def _end_with_parent() -> None:
    """End this process when the one that counts for it is gone, perhaps killed."""
    threading.Thread(target=_await_parent, daemon=True).start()


def _await_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


@dataclass(frozen=True)
class Item:
    """One task of one cell with what is to be counted."""

    cell: Cell
    planned: PlannedTask
    inputs: ScoredTask
    """What its scores are computed from."""
    documents: Numbers | None
    """Document of each scored segment, numbered from 0."""
    todo: Mapping[Job, Segments]

    def made(self, job: Job, counted: Statistics) -> tuple[Stored, Score]:
        """Return what is kept of the statistics of a job, and its row."""
        name = MetricSpec.parse(job.metric).name
        about = (job.task, name, counted.signature, job.metric, job.references)
        entry = Stored(*about, counted.values, self.documents)
        return entry, scored_row(self.cell, entry, self.planned, self.inputs)


def covers(job: Job, planned: PlannedTask) -> bool:
    """Return whether the metric of a job means something for the languages of its task."""
    metric = metrics.make(MetricSpec.parse(job.metric))
    return metric.not_covered(planned.src_lang or "", planned.tgt_lang or "") is None


def score_items(items: Sequence[Item]) -> list[Made | UserError]:
    """Score one task of several cells (the unit of work of a process), or say why one cannot be.

    Together, so that what is known of the references serves all of them.
    """
    return [_score(item) for item in items]


def _score(item: Item) -> Made | UserError:
    try:
        counted = {}
        for job in [job for job in item.todo if not covers(job, item.planned)]:
            metric = metrics.make(MetricSpec.parse(job.metric))
            signature = metric.signature(item.planned.tgt_lang or "", job.references)
            counted[job] = Statistics(np.zeros((0, 0)), signature)
        rest = [job for job in item.todo if job not in counted]
        each = count_task([(job.metric, item.todo[job]) for job in rest])
        counted |= zip(rest, each, strict=True)
        return {job: item.made(job, one) for job, one in counted.items()}
    except UserError as fault:
        return fault


def count_task(batch: Batch) -> list[Statistics]:
    """Count the statistics of one task under several metrics."""
    return [metrics.make(MetricSpec.parse(spec)).statistics(segments) for spec, segments in batch]
