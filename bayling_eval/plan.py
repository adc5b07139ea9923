"""Suites: what to run, as a family's name or a TOML file, and the tasks that it selects."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from bayling_eval import languages, resources, tasks, toml_files
from bayling_eval.errors import UserError, unknown
from bayling_eval.method import Method
from bayling_eval.subsets import Subset
from bayling_eval.tasks import Task

_BUILT_IN = {path.stem: path for path in sorted(resources.data_file("suites").glob("*.toml"))}
Chat = Literal["auto", "on", "off"]
ALL = Subset()


class SuiteSelection(BaseModel):
    """``selection``: a seeded subset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(ge=1)
    """Number of documents."""
    seed: int = Field(ge=0)
    """Seed; subsets of one seed are nested."""


class SuiteTasks(BaseModel):
    """``[[tasks]]``: some tasks of one family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use: str
    """Family of the tasks, ``flores200``."""
    languages: str | None = None
    """Keep directions with one of these on either side: codes and @sets, separated by commas."""
    pairs: tuple[str, ...] | None = None
    """Directions instead of the family's own list, ``deu_Latn-fra_Latn``."""
    num_fewshot: int | None = Field(default=None, ge=0)
    """Examples in the prompt; by default what the task says, else none."""
    selection: SuiteSelection | None = None
    """Ask only a seeded subset of the documents: ``{n = 100, seed = 7}``."""
    apply_chat_template: Chat | None = None
    """``on``, ``off`` or ``auto`` for these tasks, in place of what is said of a model."""


class SuiteModel(BaseModel):
    """``[[models]]``: one checkpoint; what is not said is as on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    id: str
    """Preset, folder of the checkpoint (seen from the suite file's folder), or id on the hub."""
    name: str | None = None
    """Name of the system; by default the preset's, else the last part of ``id``."""
    preset: str | None = None
    """Preset that says how a folder is asked."""
    series: str | None = None
    """Line of checkpoints that it belongs to."""
    step: int | None = None
    """Training step within the series."""
    tokens: int | None = None
    """Training tokens seen."""
    backend: str | None = None
    """Engine."""
    revision: str | None = None
    """Revision on the hub."""
    adapter: str | None = None
    """Folder of a LoRA adapter."""
    model_args: dict[str, Any] = {}
    """Arguments of the engine, ``{dtype = "bfloat16"}``."""
    gen_kwargs: dict[str, Any] | None = None
    """Decoding that takes the place of the tasks'."""
    apply_chat_template: Chat | None = None
    """``on``, ``off``, or ``auto``."""
    prompt_set: str | None = None
    """Wording of translation prompts; by default the preset's, else the task's own (``task``)."""
    system_instruction: str | None = None
    """System message."""
    fewshot_as_multiturn: bool | None = None
    """Make each example a turn of its own, under a chat template."""


class Suite(BaseModel):
    """A suite file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Name of the suite."""
    tasks: tuple[SuiteTasks, ...] = Field(min_length=1)
    """What it is made of."""
    models: tuple[SuiteModel, ...] = ()
    """Checkpoints to run where the command line names none."""
    compare: Method | None = None
    """How what was run is compared."""
    _where: tuple[str, ...] = PrivateAttr(())
    """``file:line`` of each of the tasks, for messages."""


def names() -> tuple[str, ...]:
    """Return the suites that have a name: the families, then the built-in ones."""
    return (*tasks.FAMILIES, *_BUILT_IN)


def load(suite: str, include: tuple[Path, ...] = ()) -> Suite:
    """Return the suite of a name or of a TOML file; ``include`` are task folders.

    Raises:
        UserError: unknown name, broken TOML, an unknown key or a wrong value, with the line.
    """
    path = _BUILT_IN.get(suite, Path(suite))
    if path.suffix != ".toml":
        families = {*tasks.FAMILIES, *(task.family for task in tasks.catalogue(include).values())}
        if suite not in families:
            raise unknown("suite", suite, {*families, *_BUILT_IN}, "A suite file ends in .toml")
        return Suite(name=suite, tasks=(SuiteTasks(use=suite),))
    if not path.is_file():
        raise UserError(f"no suite file at {path}")
    text = toml_files.read(path)
    loaded = _anchored(toml_files.parse(Suite, path, text, name=path.stem), path.parent)
    loaded._where = toml_files.places(path, text, "tasks", len(loaded.tasks))
    return loaded


@dataclass(frozen=True)
class Entry:
    """Tasks of one family that are run alike."""

    tasks: tuple[Task, ...]
    """In the order of the suite."""
    num_fewshot: int | None = None
    """Examples in the prompt; null for what the task says."""
    subset: Subset = ALL
    """Documents to ask."""
    chat: Chat | None = None
    """Whether the chat template is applied; null for what is said of a model."""


@dataclass(frozen=True)
class Selection:
    """The tasks that a suite selects."""

    entries: tuple[Entry, ...]
    """One for each of the suite's tables."""
    open_families: frozenset[str]
    """Families taken whole: any other pair of theirs belongs to the suite too."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Return the tasks in the suite's order, each once."""
        return tuple({task.name: task for e in self.entries for task in e.tasks}.values())


def selected(
    suite: Suite,
    only_languages: str | None = None,
    *,
    only_tasks: str | None = None,
    include: tuple[Path, ...] = (),
) -> Selection:
    """Return the tasks of a suite.

    ``only_languages`` (codes and @sets) takes the place of the suite's own, ``only_tasks`` is a
    glob over task names, ``include`` are folders of a user's own tasks.

    Raises:
        UserError: an unknown family, language or pair, or nothing is left.
    """
    entries = []
    for number, entry in enumerate(suite.tasks):
        where = suite._where[number] if suite._where else ""
        langs = entry.languages if only_languages is None else only_languages
        try:
            chosen = _tasks(entry, langs, include)
        except UserError as fault:
            raise UserError(f"{where}{fault}") from None
        if not chosen:
            raise UserError(f"{where}no task of {entry.use} has one of {langs!r}")
        named = tuple(t for t in chosen if fnmatch.fnmatchcase(t.name, only_tasks or "*"))
        subset = Subset(entry.selection.n, entry.selection.seed) if entry.selection else ALL
        entries.append(Entry(named, entry.num_fewshot, subset, entry.apply_chat_template))
    if not any(entry.tasks for entry in entries):
        known = {task.name for entry in suite.tasks for task in _tasks(entry, None, include)}
        raise unknown("task of this suite", str(only_tasks), known)
    whole = (
        {entry.use for entry in suite.tasks if entry.languages is None and entry.pairs is None}
        if only_languages is None
        else set()
    )
    return Selection(tuple(entry for entry in entries if entry.tasks), frozenset(whole))


def _tasks(
    entry: SuiteTasks, only_languages: str | None, include: tuple[Path, ...]
) -> Sequence[Task]:
    stock = tasks.of_family(entry.use, include)
    if entry.pairs is not None:
        stock = tuple(tasks.find(f"{entry.use}_{pair}", include) for pair in entry.pairs)
    if only_languages is None:
        return stock
    wanted = set(languages.expand(only_languages, entry.use))
    return [task for task in stock if wanted & {task.src_lang, task.tgt_lang, task.lang}]


def _anchored(suite: Suite, folder: Path) -> Suite:
    """Read the models' folders from the suite file's own folder, wherever the command runs."""

    def anchor(name: str | None) -> str | None:
        near = folder / name if name else None
        return str(near) if near and near.exists() else name

    models = (
        model.model_copy(update={"id": anchor(model.id), "adapter": anchor(model.adapter)})
        for model in suite.models
    )
    return suite.model_copy(update={"models": tuple(models)})
