"""Suites: what to run, as a family's name or a TOML file, and the tasks that it selects."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from bayling_eval import languages, sources, tasks
from bayling_eval.errors import UserError, unknown
from bayling_eval.tasks import Task


class SuiteTasks(BaseModel):
    """``[[tasks]]``: some tasks of one family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use: str
    """Family of the tasks, ``flores200``."""
    languages: str | None = None
    """Keep directions with one of these on either side: codes and @sets, separated by commas."""
    pairs: tuple[str, ...] | None = None
    """Directions instead of the family's own list, ``deu_Latn-fra_Latn``."""


class Suite(BaseModel):
    """A suite file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Name of the suite."""
    tasks: tuple[SuiteTasks, ...] = Field(min_length=1)
    """What it is made of."""
    _where: tuple[str, ...] = PrivateAttr(())
    """``file:line`` of each of the tasks, for messages."""


def load(suite: str) -> Suite:
    """Return the suite of a name (a family's) or of a TOML file.

    Raises:
        UserError: unknown name, broken TOML, an unknown key or a wrong value, with the line.
    """
    path = Path(suite)
    if not suite.endswith(".toml"):
        if suite not in tasks.FAMILIES:
            raise unknown("suite", suite, tasks.FAMILIES, "A suite file ends in .toml")
        return Suite(name=suite, tasks=(SuiteTasks(use=suite),))
    if not path.is_file():
        raise UserError(f"no suite file at {path}")
    text = "\n".join(sources.read_lines(path))
    try:
        loaded = Suite.model_validate({"name": path.stem, **tomllib.loads(text)})
    except RecursionError:
        raise UserError(f"{path}: broken TOML: nested too deeply") from None
    except tomllib.TOMLDecodeError as fault:
        line = re.search(r"at line (\d+)", str(fault))
        where = line.group(1) if line else text.count("\n") + 1
        raise UserError(f"{path}:{where}: broken TOML: {fault}") from None
    except ValidationError as fault:
        raise UserError(_explain(path, text, fault.errors()[0])) from None
    lines = [*_tables(text, "tasks"), *(0 for _ in loaded.tasks)]
    loaded._where = tuple(f"{path}:{line + 1}: " for line in lines[: len(loaded.tasks)])
    return loaded


@dataclass(frozen=True)
class Selection:
    """The tasks that a suite selects."""

    tasks: tuple[Task, ...]
    """In the suite's order, each once."""
    open_families: frozenset[str]
    """Families taken whole: any other pair of theirs belongs to the suite too."""


def selected(suite: Suite, only_languages: str | None = None) -> Selection:
    """Return the tasks of a suite; ``only_languages`` (codes and @sets) takes the place of its own.

    Raises:
        UserError: an unknown family, language or pair.
    """
    if only_languages is not None:
        suite = suite.model_copy(
            update={
                "tasks": tuple(
                    entry.model_copy(update={"languages": only_languages}) for entry in suite.tasks
                )
            }
        )
    found: dict[str, Task] = {}
    for number, entry in enumerate(suite.tasks):
        where = suite._where[number] if suite._where else ""
        try:
            chosen = _tasks(entry)
        except UserError as fault:
            raise UserError(f"{where}{fault}") from None
        if not chosen:
            raise UserError(f"{where}no task of {entry.use} has one of {entry.languages!r}")
        found.update((task.name, task) for task in chosen)
    whole = {entry.use for entry in suite.tasks if entry.languages is None and entry.pairs is None}
    return Selection(tuple(found.values()), frozenset(whole))


def _tasks(entry: SuiteTasks) -> Sequence[Task]:
    stock = tasks.of_family(entry.use)
    if entry.pairs is not None:
        stock = tuple(tasks.find(f"{entry.use}_{pair}") for pair in entry.pairs)
    if entry.languages is None:
        return stock
    wanted = set(languages.expand(entry.languages, entry.use))
    return [task for task in stock if wanted & {task.src_lang, task.tgt_lang, task.lang}]


def _explain(path: Path, text: str, fault: Any) -> str:
    """Say which line of a suite file a validation error is about."""
    where = ".".join(map(str, fault["loc"]))
    key = next((part for part in reversed(fault["loc"]) if isinstance(part, str)), "")
    index = next((part for part in fault["loc"] if isinstance(part, int)), 0)
    lines = text.split("\n")
    tables = _tables(text, str(fault["loc"][0]))
    start = tables[index] if index < len(tables) else 0
    hits = [n for n in range(start, len(lines)) if re.match(rf"\s*{re.escape(key)}\s*=", lines[n])]
    line = f":{(hits or [start])[0] + 1}"
    if fault["type"] == "extra_forbidden":
        known = SuiteTasks.model_fields if len(fault["loc"]) > 1 else Suite.model_fields
        return f"{path}{line}: {unknown('key', key, known)}"
    return f"{path}{line}: {where}: {fault['msg']}"


def _tables(text: str, name: str) -> list[int]:
    """Return the numbers of the lines that begin a ``[[name]]``, from 0."""
    header = re.compile(rf"\s*\[\[\s*{re.escape(name)}\s*\]\]")
    return [number for number, line in enumerate(text.split("\n")) if header.match(line)]
