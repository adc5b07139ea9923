"""An outside system's outputs become a system: one file a direction, one segment a line."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bayling_eval import responses, sources, store, tasks
from bayling_eval.errors import UserError, unknown
from bayling_eval.plan import Selection
from bayling_eval.provenance import digest, digest_lines, versions
from bayling_eval.records import ModelFile, Plan, PlannedTask, Response, Settings, SettingsFile
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
    """``added``, ``unchanged`` or ``replaced``."""


@dataclass(frozen=True)
class _Direction:
    task: Task
    path: Path
    lines: tuple[str, ...]
    origin: sources.Parallel

    @property
    def answers_digest(self) -> str:
        return digest_lines(self.lines)


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
            lines is not the benchmark's, or other content for a direction that the system has
            (unless ``replace``).
    """
    store.check_name(name)
    directions = _read(folder, chosen, data)
    model = _model(name)
    settings = SettingsFile(
        digest=digest(Settings().model_dump()),
        settings=Settings(),
        versions=versions("bayling-eval"),
    )
    base = results / f"{name}@{model.model8}"
    plans = {
        family: _plan(base / family / settings.digest[:8] / "all")
        for family in sorted({d.task.family for d in directions})
    }
    outcomes = [_outcome(d, plans[d.task.family], name, replace=replace) for d in directions]
    for family, plan in plans.items():
        ours = [
            d
            for d, outcome in zip(directions, outcomes, strict=True)
            if d.task.family == family and outcome.outcome != "unchanged"
        ]
        if ours:
            store.save(base / store.MODEL, model)
            cell = base / family / settings.digest[:8]
            store.save(cell / store.SETTINGS, settings)
            key = f"{model.model8}/{settings.digest[:8]}"
            responses.append(
                cell / "responses" / "import.jsonl",
                (record for d in ours for record in _records(d, key)),
            )
            planned = {**plan.tasks, **{d.task.name: _planned(d) for d in ours}}
            store.save(cell / "all" / store.PLAN, Plan(tasks=dict(sorted(planned.items()))))
    return outcomes


def _model(name: str) -> ModelFile:
    covers = {"kind": "imported", "name": name}
    return ModelFile(name=name, kind="imported", digest=digest(covers), covers=covers)


def _plan(folder: Path) -> Plan:
    path = folder / store.PLAN
    return store.load(Plan, path) if path.is_file() else Plan(tasks={})


def _read(folder: Path, chosen: Selection, data: Path | None) -> list[_Direction]:
    if not folder.is_dir():
        raise UserError(f"no folder of hypotheses at {folder}: give one with --hypotheses")
    files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
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
    known = {f"{task.src_lang}-{task.tgt_lang}" for task in chosen.tasks if task.src_lang}
    raise UserError(
        f"{path}: {unknown('direction', path.stem, known)} Name the file SRC-TGT in the codes of "
        f"{', '.join(families)} or in our keys"
    )


def _outcome(direction: _Direction, plan: Plan, name: str, *, replace: bool) -> Imported:
    had = plan.tasks.get(direction.task.name)
    if had is None:
        outcome = "added"
    elif had.answers_digest == direction.answers_digest:
        outcome = "unchanged"
    elif replace:
        outcome = "replaced"
    else:
        raise UserError(
            f"{direction.path}: {name} has other outputs for {direction.task.name} "
            f"(from {had.origin}): add --replace to take these instead"
        )
    empty = sum(not line.strip() for line in direction.lines)
    return Imported(direction.task.name, direction.path.name, len(direction.lines), empty, outcome)


def _records(direction: _Direction, key: str) -> list[Response]:
    columns = zip(direction.origin.sources, direction.lines, strict=True)
    return [
        Response(
            request_id=responses.request_id(direction.task.name, index, source),
            key=key,
            prompt_digest=None,
            answer=line,
        )
        for index, (source, line) in enumerate(columns)
    ]


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
