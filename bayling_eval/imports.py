"""An outside system's outputs become a system: one file a direction, one segment a line."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bayling_eval import languages, responses, sources, store, tasks
from bayling_eval.errors import UserError, unknown
from bayling_eval.plan import Selection
from bayling_eval.provenance import digest, digest_lines
from bayling_eval.records import ModelFile, Plan, PlannedTask, Response, Settings
from bayling_eval.tasks import Task

SUFFIXES = (".hypo", ".txt")


@dataclass(frozen=True)
class Imported:
    """What became of one hypothesis file."""

    task: str
    """Name of the task."""
    file: str
    """Name of the file."""
    n: int
    """Segments."""
    n_empty: int
    """Segments with nothing but white space; they are scored as empty."""
    outcome: str
    """``added``, ``unchanged``, ``replaced``, or ``mended`` where kept answers were damaged."""


@dataclass(frozen=True)
class _Direction:
    task: Task
    path: Path
    lines: tuple[str, ...]
    origin: sources.Parallel

    @property
    def answers_digest(self) -> str:
        return digest_lines(self.lines)

    def requests(self) -> Iterator[tuple[str, str]]:
        """Return the id and the answer of each request."""
        for index, (source, line) in enumerate(zip(self.origin.sources, self.lines, strict=True)):
            yield responses.request_id(self.task.name, index, source), line


def import_outputs(
    results: Path,
    name: str,
    chosen: Selection,
    folder: Path,
    data: Path | None,
    *,
    replace: bool = False,
) -> list[Imported]:
    """Import a folder of hypothesis files as system ``name``, all of them or none.

    Raises:
        UserError: a bad name, an unknown direction, a file that is not UTF-8 or whose number of
            lines is not the benchmark's, other content for a direction that the system has
            (unless ``replace``), or another process that works on the system.
    """
    store.check_name(name)
    directions = _read(folder, chosen, data)
    model = _model(name)
    settings = store.settings_file(Settings(), "bayling-eval")
    base = results / f"{name}@{model.model8}"
    outcomes: list[Imported] = []
    with store.locked(base):
        cells = {
            family: _Cell.of(base / family / settings.digest[:8])
            for family in sorted({d.task.family for d in directions})
        }
        for direction in directions:
            outcomes.append(_outcome(direction, cells[direction.task.family], name, replace))
        for family, cell in cells.items():
            ours = [
                d
                for d, outcome in zip(directions, outcomes, strict=True)
                if d.task.family == family and outcome.outcome != "unchanged"
            ]
            if ours:
                store.save(base / store.MODEL, model)
                store.save(cell.folder / store.SETTINGS, settings)
                _append(cell, ours, f"{model.model8}/{settings.digest[:8]}")
    return outcomes


@dataclass(frozen=True)
class _Cell:
    """What a system has of one family."""

    folder: Path
    plan: Plan
    log: responses.Log

    @classmethod
    def of(cls, folder: Path) -> "_Cell":
        path = folder / "all" / store.PLAN
        plan = store.load(Plan, path) if path.is_file() else Plan(tasks={})
        return cls(folder, plan, responses.read(folder / "responses"))

    def holds(self, direction: "_Direction") -> bool:
        """Return whether the log has every answer of a direction, undamaged."""
        kept = self.log.answers
        return all(
            (found := kept.get(request)) is not None and found.answer == line
            for request, line in direction.requests()
        )


def _append(cell: _Cell, directions: list[_Direction], key: str) -> None:
    records = (
        Response(request_id=request, key=key, prompt_digest=None, answer=line)
        for direction in directions
        for request, line in direction.requests()
    )
    responses.append(cell.folder / "responses" / "import.jsonl", records)
    planned = {**cell.plan.tasks, **{d.task.name: _planned(d) for d in directions}}
    store.save(cell.folder / "all" / store.PLAN, Plan(tasks=dict(sorted(planned.items()))))


def _model(name: str) -> ModelFile:
    covers = {"kind": "imported", "name": name}
    return ModelFile(name=name, kind="imported", digest=digest(covers), covers=covers)


def _read(folder: Path, chosen: Selection, data: Path | None) -> list[_Direction]:
    if not folder.is_dir():
        raise UserError(f"no folder of hypotheses at {folder}: give one with --hypotheses")
    files = sorted(path for path in folder.iterdir() if _is_named(path))
    if not files:
        raise UserError(
            f"no hypothesis files in {folder}: expected one a direction, "
            "named SRC-TGT.txt or SRC-TGT.hypo"
        )
    named = [(task_of(path, chosen), path) for path in files]
    twice = [task.name for task, count in Counter(task for task, _ in named).items() if count > 1]
    if twice:
        both = ", ".join(path.name for task, path in named if task.name == twice[0])
        raise UserError(f"{folder}: {both} are all {twice[0]}: keep one")
    return [_direction(task, path, data) for task, path in named]


def _direction(task: Task, path: Path, data: Path | None) -> _Direction:
    if task.src_lang is None or task.tgt_lang is None:
        raise UserError(
            f"{path}: {task.name} is not a translation task: only outputs of those can be imported"
        )
    lines = sources.read_lines(path)
    origin = sources.parallel(task.family, task.src_lang, task.tgt_lang, data)
    if len(lines) != len(origin.sources):
        raise UserError(
            f"{path} has {len(lines)} lines but {task.name} has {len(origin.sources)} segments "
            f"({origin.files[0].path}): write one segment a line, empty ones too"
        )
    return _Direction(task, path, lines, origin)


def task_of(path: Path, chosen: Selection) -> Task:
    """Return the task of a file named ``SRC-TGT.*`` in the benchmark's codes or in our keys.

    Raises:
        UserError: no task of the suite has this direction.
    """
    names = {task.name for task in chosen.tasks}
    families = sorted({task.family for task in chosen.tasks})
    for family in families:
        try:
            task = tasks.find(f"{family}_{path.stem}")
        except UserError:
            continue
        if task.name in names or family in chosen.open_families:
            return task
    known = {name for task in chosen.tasks for name in _spellings(task)}
    raise UserError(
        f"{path}: {unknown('direction', path.stem, known)} Name the file SRC-TGT in the codes of "
        f"{', '.join(families)} or in our keys"
    )


def _spellings(task: Task) -> Iterator[str]:
    """Return how a direction may be written: in our keys, in the benchmark's codes."""
    if task.src_lang and task.tgt_lang:
        codes = languages.codes(task.family)
        yield f"{task.src_lang}-{task.tgt_lang}"
        yield f"{codes[task.src_lang]}-{codes[task.tgt_lang]}"


def ignored(folder: Path) -> list[str]:
    """Return the names of what ``import_outputs`` leaves alone in a folder."""
    return sorted(path.name for path in folder.iterdir() if not _is_named(path))


def _is_named(path: Path) -> bool:
    # No code holds a dot; BayLing's repository has "de-en.zh_prompt.hypo" beside "de-en.hypo".
    return path.suffix in SUFFIXES and "." not in path.stem


def _outcome(direction: _Direction, cell: _Cell, name: str, replace: bool) -> Imported:
    had = cell.plan.tasks.get(direction.task.name)
    if had is None:
        outcome = "added"
    elif had.answers_digest == direction.answers_digest:
        outcome = "unchanged" if cell.holds(direction) else "mended"
    elif replace:
        outcome = "replaced"
    else:
        raise UserError(
            f"{direction.path}: {name} has other outputs for {direction.task.name} "
            f"(from {had.origin}): add --replace to take these instead"
        )
    empty = sum(not line.strip() for line in direction.lines)
    return Imported(direction.task.name, direction.path.name, len(direction.lines), empty, outcome)


def _planned(direction: _Direction) -> PlannedTask:
    task = direction.task
    return PlannedTask(
        task=task.name,
        family=task.family,
        src_lang=task.src_lang,
        tgt_lang=task.tgt_lang,
        lang=task.lang,
        n=len(direction.lines),
        answers_digest=direction.answers_digest,
        origin=direction.path.name,
    )
