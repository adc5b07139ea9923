"""From a cell's response log to what is scored: texts and per-sample values, task by task."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bayling_eval import responses, sources, tasks
from bayling_eval.adapter import Built, Prompting
from bayling_eval.errors import IncompleteError
from bayling_eval.hooks import clean
from bayling_eval.metrics import Segments
from bayling_eval.provenance import digest_lines
from bayling_eval.records import PlannedTask, Response, ScoredTask
from bayling_eval.sources import DataFile, Parallel
from bayling_eval.store import Cell
from bayling_eval.subsets import Subset
from bayling_eval.tables import Numbers, Sample
from bayling_eval.tasks import Task

T = TypeVar("T")
Values = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Origin:
    """Where a task's documents come from, as far as it is known without lm-eval."""

    task: Task
    references: tuple[str, ...]
    """Names of the references."""
    files: tuple[DataFile, ...]
    """Benchmark files; none where the task reads its data by itself."""
    parallel: Parallel | None
    """Texts of a translation task."""

    @classmethod
    def of(cls, planned: PlannedTask, data: Path | None, include: tuple[Path, ...]) -> "Origin":
        """Find a planned task and read its data.

        Raises:
            UserError: no such task, or its data are not there.
        """
        task = tasks.find(planned.task, include)
        if task.family not in sources.SPLITS:
            return cls(task, ("ref",), (), None)
        if task.src_lang is None or task.tgt_lang is None:
            files = sources.files_of(task.family, None, None, task.lang, data)
            return cls(task, ("ref",), files, None)
        found = sources.parallel(task.family, task.src_lang, task.tgt_lang, data)
        return cls(task, tuple(found.references), found.files, found)

    @property
    def tgt_lang(self) -> str:
        """Key of the target language; empty where nothing is translated."""
        return self.task.tgt_lang or ""


@dataclass(frozen=True)
class Texts:
    """One task with its answers; all columns have the same length."""

    origin: Origin
    sources: tuple[str, ...]
    """What was asked, as people read it."""
    references: Mapping[str, tuple[str, ...]]
    """Right answers by name."""
    documents: tuple[str, ...] | None
    """Document of each segment."""
    outputs: tuple[str, ...]
    """What the system said or chose."""
    doc_ids: tuple[int, ...]
    """Number of each document in the benchmark, from 0."""
    request_ids: tuple[str, ...]
    """The first request of each document."""
    answers_digest: str
    """Digest of the raw answers in the order of the requests."""
    values: Values
    """lm-eval's per-sample metrics of the scored documents."""
    unscored: frozenset[int]
    """Rows that cannot be scored: their prompt exceeds the model's context."""
    finish_reasons: tuple[str | None, ...] = ()
    """Why each document's first answer ended."""
    gold: tuple[tuple[float, int] | None, ...] = ()
    """Log-likelihood and bytes of the right answer of the scored documents."""
    choices: tuple[int, ...] = ()
    """Number of choices of the scored documents."""

    @property
    def scored(self) -> ScoredTask:
        """Return what the scores are computed from."""
        outputs = [o for row, o in enumerate(self.outputs) if row not in self.unscored]
        return ScoredTask(
            answers_digest=self.answers_digest,
            sources_digest=_digest(self.sources),
            references={name: _digest(lines) for name, lines in self.references.items()},
            documents_digest=_digest(self.documents) if self.documents else None,
            n_empty=sum(not output.strip() for output in outputs),
            n_unscored=len(self.unscored),
            data_files={file.path: file.sha256 for file in self.origin.files},
        )

    @property
    def numbered_documents(self) -> Numbers | None:
        """Number the document of each scored segment, from 0; none where there are no names."""
        if self.documents is None:
            return None
        names = [name for row, name in enumerate(self.documents) if row not in self.unscored]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return np.array([numbers[name] for name in names], dtype=np.int32)

    @property
    def samples(self) -> list[Sample]:
        """Return the rows that are kept to be shown."""
        n, names = len(self.outputs), tuple(self.references)
        references = list(zip(*self.references.values(), strict=True))
        columns = (
            (self.origin.task.name,) * n,
            self.doc_ids,
            self.request_ids,
            self.documents or (None,) * n,
            self.sources,
            (names,) * n,
            references,
            self.outputs,
        )
        return list(map(Sample._make, zip(*columns, strict=True)))

    def segments(self, names: tuple[str, ...]) -> Segments:
        """Return what the metrics see, with the references of these names."""

        def scored(column: Sequence[T]) -> list[T]:
            return [one for row, one in enumerate(column) if row not in self.unscored]

        raw = scored(self.outputs)
        return Segments(
            self.origin.tgt_lang,
            [clean(output) for output in raw],
            {name: scored(self.references[name]) for name in names},
            self.values,
            src_lang=self.origin.task.src_lang or "",
            sources=scored(self.sources),
            raw=raw,
            finish_reasons=scored(self.finish_reasons),
            gold=self.gold,
            choices=self.choices,
        )


@functools.lru_cache(maxsize=8)
def _digest(column: tuple[str, ...]) -> str:
    """Return the digest of a benchmark's column, which the systems of a command share."""
    return digest_lines(column)


def load(
    cell: Cell, planned: PlannedTask, origin: Origin, log: responses.Log, data: Path | None
) -> Texts:
    """Return a task with the answers that its cell's log holds.

    Raises:
        IncompleteError: answers are missing, damaged or not those that were planned.
        UserError: the task cannot be built, or its own code fails on an answer.
    """
    if cell.system.model.kind == "imported":
        return _imported(cell, planned, origin, log)
    return _asked(cell, planned, origin, log, data)


def _imported(cell: Cell, planned: PlannedTask, origin: Origin, log: responses.Log) -> Texts:
    parallel = origin.parallel
    if parallel is None:
        raise IncompleteError(
            f"{planned.task}: outputs of a translation task alone can be imported"
        )
    ids = _imported_ids(planned.task, parallel.sources)
    again = (
        f"check --data, or import the outputs of {cell.system.name} again, with --replace if they "
        "are new"
    )
    found = _found(cell, planned, log, ids, len(ids), again)
    answers = tuple([one.answer for one in found])
    return Texts(
        origin=origin,
        sources=parallel.sources,
        references=parallel.references,
        documents=parallel.documents,
        outputs=answers,
        doc_ids=tuple(range(len(answers))),
        request_ids=ids,
        answers_digest=str(planned.answers_digest),
        values={},
        unscored=frozenset(),
        finish_reasons=tuple([one.finish_reason for one in found]),
    )


# The systems of a command come task by task.
@functools.lru_cache(maxsize=1)
def _imported_ids(task: str, sources: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(responses.request_id(task, index, source) for index, source in enumerate(sources))


def _asked(
    cell: Cell, planned: PlannedTask, origin: Origin, log: responses.Log, data: Path | None
) -> Texts:
    built = Built(origin.task, Prompting.of(cell.settings), data)
    chosen = Subset.parse(cell.selection).of(len(built.docs))
    asked = list(built.ask(chosen))
    ids = [[request.request_id for request in one.requests] for one in asked]
    records = iter(_found(cell, planned, log, list(chain(*ids)), len(ids), "run the same again"))
    found = [list(islice(records, len(group))) for group in ids]
    unscored = frozenset(
        row
        for row, answers in enumerate(found)
        if any(a.finish_reason == "too_long" for a in answers)
    )
    rows = [row for row in range(len(asked)) if row not in unscored]
    outcomes = dict(
        zip(
            rows,
            built.outcomes([asked[r] for r in rows], [[a.answer for a in found[r]] for r in rows]),
            strict=True,
        )
    )
    shown = [built.shown(one) for one in asked]
    texts = Texts(
        origin=origin,
        sources=tuple(source for source, _ in shown),
        references={"ref": tuple(target for _, target in shown)},
        documents=None,
        outputs=tuple(outcomes[row].output if row in outcomes else "" for row in range(len(asked))),
        doc_ids=tuple(one.doc_id for one in asked),
        request_ids=tuple(one[0] for one in ids),
        answers_digest=str(planned.answers_digest),
        values=_values(outcome.values for outcome in outcomes.values()),
        unscored=unscored,
        finish_reasons=tuple(answers[0].finish_reason for answers in found),
        gold=tuple(outcome.gold for outcome in outcomes.values()),
        choices=tuple(outcome.choices for outcome in outcomes.values()),
    )
    return _with_texts(texts, origin.parallel, chosen) if origin.parallel else texts


def _with_texts(texts: Texts, parallel: Parallel, chosen: Sequence[int]) -> Texts:
    """Show the benchmark's own columns of a translation task, not its prompt."""

    def pick(column: Sequence[str]) -> tuple[str, ...]:
        return tuple(column[index] for index in chosen)

    return replace(
        texts,
        sources=pick(parallel.sources),
        references={name: pick(lines) for name, lines in parallel.references.items()},
        documents=pick(parallel.documents) if parallel.documents else None,
    )


def _values(outcomes: Iterable[Mapping[tuple[str, str], Any]]) -> Values:
    """Return lm-eval's numbers as columns; what is no number (F1 hands on pairs) is left out."""
    columns: dict[str, list[float]] = {}
    for values in outcomes:
        for (metric, pipeline), value in values.items():
            if isinstance(value, int | float):
                name = metric if pipeline == "none" else f"{metric}:filter={pipeline}"
                columns.setdefault(name, []).append(float(value))
    return {name: tuple(column) for name, column in columns.items()}


def _found(
    cell: Cell, planned: PlannedTask, log: responses.Log, ids: Sequence[str], n: int, again: str
) -> list[Response]:
    """Return the records of the requests of ``n`` documents, which are those that were planned."""
    name, asked = cell.system.name, [log.answers.get(one) for one in ids]
    found = [one for one in asked if one]
    if n != planned.n or len(found) < len(asked):
        damaged = f"; {len(log.bad)} damaged records, the first at {log.bad[0]}" if log.bad else ""
        raise IncompleteError(
            f"{name}: {len(asked) - len(found)} of {len(asked)} answers for {planned.task} are "
            f"missing (planned on {planned.n} segments{damaged}): {again}"
        )
    if digest_lines([one.answer for one in found]) != planned.answers_digest:
        raise IncompleteError(
            f"{name}: the answers for {planned.task} are not those that were planned: {again}"
        )
    return found
