"""Cells from answers to scores: samples, statistics, scores, and last the manifest.

Several cells go side by side, task by task: what is known of a task's sources and references then
serves all of them, and of the texts only those of a few tasks are in memory.
"""

import functools
import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bayling_eval import answers, metrics, responses, store, tables, tasks
from bayling_eval.answers import Texts
from bayling_eval.counting import Item, Made, Workers, covers, score_items
from bayling_eval.errors import IncompleteError, UserError
from bayling_eval.metrics import MetricSpec, Segments
from bayling_eval.provenance import digest
from bayling_eval.records import Job, Manifest, Score, ScoredTask, ScoresFile
from bayling_eval.store import Cell
from bayling_eval.wanted import Before, Order, Work, check_order, counted_by, work_of

__all__ = ["Order", "check_order", "metrics", "score_cell", "score_cells"]

Progress = Callable[[str], None]
Outcome = int | UserError | IncompleteError
"""How many tasks there was anything to count for, or why a cell has no new scores."""

# More would save little more of what references cost, and each has the places of its log and its
# compressed files in memory: 0.1 GB with 200 directions.
_SIDE_BY_SIDE = 5


def score_cell(
    cell: Cell, order: Order, progress: Progress = lambda _: None, workers: Workers | None = None
) -> int:
    """Score one cell; return how many tasks there was anything to count for.

    Raises:
        UserError: an unknown metric or reference, data that do not fit, or another process that
            works on the system.
        IncompleteError: answers are missing, damaged or not those that were planned.
    """
    ((_, found),) = score_cells([cell], order, lambda _: progress, workers)
    if isinstance(found, int):
        return found
    raise found


def score_cells(
    cells: Sequence[Cell],
    order: Order,
    progress: Callable[[Cell], Progress],
    workers: Workers | None = None,
) -> Iterator[tuple[Cell, Outcome]]:
    """Score cells; one that is incomplete or lacks data does not stop the others.

    ``workers`` are those that a command keeps for more than this.
    """

    @functools.cache
    def task_digest(name: str) -> str:
        return tasks.digest(tasks.find(name, order.include))

    with ExitStack() as stack:
        workers = workers or stack.enter_context(Workers(order.jobs))
        for start in range(0, len(cells), _SIDE_BY_SIDE):
            drafts = [
                _Draft(cell, order, progress(cell), task_digest)
                for cell in cells[start : start + _SIDE_BY_SIDE]
            ]
            with ExitStack() as locks:
                # In one order: who waits for a lock may hold another.
                for draft in sorted(drafts, key=lambda draft: str(draft.cell.folder)):
                    draft.open(locks)
                # An engine needs all texts of a cell, and what it gives is worth saving early.
                alone = [[draft] for draft in drafts if draft.needs_engine]
                for part in ([draft for draft in drafts if not draft.needs_engine], *alone):
                    _score(part, workers)
                    yield from ((draft.cell, draft.outcome) for draft in part)


def _score(drafts: Sequence["_Draft"], workers: Workers) -> None:
    """Score cells task by task; processes count the next tasks while one is written."""
    langs = {name: work.planned.tgt_lang for d in drafts for name, work in d.works.items()}
    # Directions into one language share their references.
    names = sorted(langs, key=lambda name: (langs[name] or "", name))
    # One task alone is not worth a process.
    many = sum(any(draft.counts(name) for draft in drafts) for name in names) > 1
    pool = workers if many and workers.processes > 1 else None
    begun: deque[_Begun] = deque()
    for name in names:
        begun.append(_Begun.of(name, drafts, pool))
        if not pool or len(begun) > workers.processes + 1:
            begun.popleft().write()
    for one in begun:
        one.write()
    for draft in drafts:
        draft.finish()


@dataclass(frozen=True)
class _Loaded:
    """One task of one cell with its texts."""

    texts: Texts
    item: Item
    late: Mapping[Job, Segments]
    """What engines of their own count."""


@dataclass(frozen=True)
class _Begun:
    """One task of several cells that is being counted."""

    name: str
    drafts: Sequence["_Draft"]
    loaded: Mapping["_Draft", _Loaded]
    result: Callable[[], list[Made | UserError]]

    @classmethod
    def of(cls, name: str, drafts: Sequence["_Draft"], pool: Workers | None) -> "_Begun":
        found = {draft: draft.load(name) for draft in drafts}
        loaded = {draft: one for draft, one in found.items() if one}
        items = [one.item for one in loaded.values()]
        if pool and any(item.todo for item in items):
            return cls(name, drafts, loaded, pool.submit(score_items, items).result)
        return cls(name, drafts, loaded, functools.partial(score_items, items))

    def write(self) -> None:
        made = dict(zip(self.loaded, self.result(), strict=True))
        for draft in self.drafts:
            draft.take(self.name, self.loaded.get(draft), made.get(draft, {}))


class _Draft:
    """One cell on its way to new scores; its faults end its own way alone."""

    def __init__(
        self, cell: Cell, order: Order, progress: Progress, task_digest: Callable[[str], str]
    ) -> None:
        self.cell, self.works = cell, dict[str, Work]()
        self._order, self._progress, self._task_digest = order, progress, task_digest
        self._fault: UserError | IncompleteError | None = None
        self._settled = False
        self._scored: dict[str, ScoredTask] = {}
        self._rows: dict[Job, Score] = {}
        self._late: dict[str, tuple[_Loaded, Made]] = {}

    @property
    def outcome(self) -> Outcome:
        return self._fault or sum(bool(work.todo) for work in self.works.values())

    @property
    def needs_engine(self) -> bool:
        return any(_by_engine(job) for work in self.works.values() for job in work.todo)

    def open(self, stack: ExitStack) -> None:
        """Lock the cell, and decide what is to be done."""
        with self._caught():
            folder = self.cell.path("")
            stack.enter_context(store.locked(folder, wait=self._order.wait))
            # Not in memory, where they are 25 MB with 200 directions.
            self._samples = stack.enter_context(tables.SamplesWriter(folder))
            self._statistics = stack.enter_context(tables.StatisticsWriter(folder))
            self._before = before = Before.of(self.cell)
            planned = self.cell.plan().tasks
            works = {name: work_of(task, self._order, before) for name, task in planned.items()}
            kept = {name: before.scored(name) for name, work in works.items() if work.kept}
            self._scored = {name: scored for name, scored in kept.items() if scored}
            self.works = works
            if before.trusted and before.manifest and not any(w.todo for w in works.values()):
                self._settled = before.manifest.inputs_digest == self._inputs_digest()

    def counts(self, name: str) -> bool:
        """Return whether there is something that a process may count."""
        work = self.works.get(name)
        return any(not _by_engine(job) for job in (work.todo if work else ()))

    def load(self, name: str) -> _Loaded | None:
        """Read the texts of a task; none where nothing is to be counted."""
        work = self.works.get(name)
        if self._fault or not work or not work.origin or not work.todo:
            return None
        with self._caught():
            texts = answers.load(self.cell, work.planned, work.origin, self._log, self._order.data)
            segments = functools.cache(texts.segments)
            todo = {job: segments(job.references) for job in work.todo}
            late = {j: s for j, s in todo.items() if _by_engine(j) and covers(j, work.planned)}
            self._scored[name] = scored = texts.scored
            documents, rest = texts.numbered_documents, {j: todo[j] for j in todo if j not in late}
            return _Loaded(texts, Item(self.cell, work.planned, scored, documents, rest), late)
        return None

    def take(self, name: str, loaded: _Loaded | None, made: Made | UserError) -> None:
        """Write what was counted of a task, unless an engine has yet to count."""
        work = self.works.get(name)
        if isinstance(made, UserError):
            self._fault = self._fault or made
        elif work and not self._fault and not self._settled:
            if made:
                self._progress(name)
            if loaded and loaded.late:
                self._late[name] = (loaded, made)
            else:
                self._write(work, loaded, made)

    def _write(self, work: Work, loaded: _Loaded | None, made: Made) -> None:
        if loaded:
            self._samples.add(loaded.texts.samples)
        elif work.kept:
            self._samples.add(self._before.samples(work.planned.task))
        found = made | self._before.made(work)
        self._rows |= {job: row for job, (_, row) in found.items()}
        if entries := [found[job][0] for job in work.jobs if job in found]:
            self._statistics.add(entries)

    def finish(self) -> None:
        """Have engines count, and save everything."""
        with self._caught():
            if not self._fault and not self._settled:
                self._count_late()
                self._save()

    def _count_late(self) -> None:
        """Have each engine count all its tasks at once."""
        asked: dict[str, list[tuple[Job, Segments]]] = {}
        for loaded, _ in self._late.values():
            for job, segments in loaded.late.items():
                asked.setdefault(job.metric, []).append((job, segments))
        for spec, todo in asked.items():
            engine = metrics.make_together(MetricSpec.parse(spec))
            each = engine.statistics_of([segments for _, segments in todo], self._progress)
            for (job, _), counted in zip(todo, each, strict=True):
                loaded, made = self._late[job.task]
                made[job] = loaded.item.made(job, counted)
        for name, (loaded, made) in self._late.items():
            self._write(self.works[name], loaded, made)
        self._late.clear()

    def _save(self) -> None:
        """Write the derived files, and last the manifest that vouches for them."""
        rows = [self._rows[job] for job in self._jobs if job in self._rows]
        content = {
            store.SAMPLES: self._samples.content(),
            store.STATISTICS: self._statistics.content(),
            store.SCORES: (ScoresFile(rows=rows).model_dump_json(indent=0) + "\n").encode(),
        }
        for name, data in content.items():
            store.write_atomic(self.cell.path(name), data)
        manifest = Manifest(
            inputs_digest=self._inputs_digest(),
            tasks={name: self._scored[name] for name in self.works if name in self._scored},
            jobs=self._jobs,
            files={name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
            versions=counted_by(),
        )
        store.save(self.cell.path(store.MANIFEST), manifest)

    @property
    def _jobs(self) -> list[Job]:
        return [job for work in self.works.values() for job in work.jobs]

    @functools.cached_property
    def _log(self) -> responses.Log:
        return responses.read(self.cell.responses)

    def _inputs_digest(self) -> str:
        return digest(
            {
                "model": self.cell.system.model.digest,
                "settings": self.cell.settings_file.digest,
                "tasks": {
                    name: [self._task_digest(name), scored.model_dump()]
                    for name, scored in self._scored.items()
                },
                "jobs": sorted([job.task, job.metric, *job.references] for job in self._jobs),
                "versions": counted_by(),
            }
        )

    @contextmanager
    def _caught(self) -> Iterator[None]:
        try:
            yield
        except (UserError, IncompleteError) as fault:
            self._fault = fault


def _by_engine(job: Job) -> bool:
    """Return whether a metric has an engine of its own that counts all tasks of a cell."""
    return metrics.make(MetricSpec.parse(job.metric)).together
