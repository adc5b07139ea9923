"""The catalogue of tasks, read from lm-eval YAML without importing lm-eval.

lm-eval drops a file that it cannot read without a word; here it is an error that names the file.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from bayling_eval import languages, provenance, resources, sources
from bayling_eval.errors import UserError, unknown

FAMILIES = (
    "flores101",
    "flores200",
    "ntrex128",
    "sample",
    "sample_questions",
    "wmt22",
    "xcopa",
)
"""The bundled families."""
_HINT = "`bayling-eval ls tasks` lists them"
# lm-eval looks for tasks in neither.
_NOT_TASKS = {"__pycache__", ".ipynb_checkpoints"}
# lm_eval.api.registry.DEFAULT_METRIC_REGISTRY (0.4.13), for a task without a metric_list.
_DEFAULT_METRICS = {
    "generate_until": ("exact_match",),
    "loglikelihood": ("perplexity", "acc"),
    "multiple_choice": ("acc", "acc_norm"),
}
# lm_eval.api.registry.metric_registry (0.4.13). What is not in it is loaded by the library
# evaluate, which runs what it finds under that name on the disk or the hub (get_metric there).
LM_EVAL_METRICS = frozenset(
    (
        *("acc", "acc_all", "acc_bytes", "acc_mutual_info", "acc_norm", "bits_per_byte", "bleu"),
        *("brier_score", "bypass", "byte_perplexity", "chrf", "chrf++", "exact_match", "f1"),
        *("likelihood", "mcc", "perplexity", "ter", "word_perplexity"),
    )
)
"""The metrics that lm-eval has itself."""

_Config = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What is known of a task without lm-eval."""

    name: str
    """lm-eval's name, ``flores200_eng_Latn-zho_Hans``."""
    family: str
    """The benchmark, ``flores200``; also a tag that lm-eval knows."""
    src_lang: str | None
    """Key of the source language of a translation task."""
    tgt_lang: str | None
    """Key of the target language of a translation task."""
    lang: str | None
    """Key of the language of any other task."""
    output_type: str
    """``generate_until`` or ``multiple_choice``, or another that lm-eval knows."""
    version: str
    """Version in the metadata."""
    chance: float | None
    """Score of guessing, 0 to 1, where there is one."""
    path: Path
    """Its YAML."""
    num_fewshot: int | None = None
    """Examples in the prompt unless others are asked for; a task that says 0 has none, whatever is
    asked for, as in lm-eval."""
    metrics: tuple[str, ...] = ()
    """lm-eval's metrics of the task, by name."""
    filters: tuple[str, ...] = ("none",)
    """Names of its filter pipelines; the first is the one that is shown."""
    code: tuple[str, ...] = ()
    """Functions and classes that its YAML names: code that runs with the task."""

    @property
    def generic(self) -> bool:
        """Whether a pair must be given at run time (``flores200_pair``)."""
        return self.src_lang is None and self.lang is None


class _Loader(yaml.CSafeLoader):
    """Reads task YAML as data: the function that a file names stays a string."""


class _Code(str):
    """The name of a function or class that lm-eval would import."""

    __slots__ = ()


def _function(loader: _Loader, node: yaml.ScalarNode) -> str:
    return _Code(loader.construct_scalar(node))


_Loader.add_constructor("!function", _function)


def catalogue(include: tuple[Path, ...] = ()) -> Mapping[str, Task]:
    """Return all tasks by name: the bundled ones, then those of the folders ``include``.

    The files are read once in a process.

    Raises:
        UserError: a file is broken or says too little, or two files have the same task name.
    """
    return _catalogue(folders(include))


@functools.cache
def _catalogue(roots: tuple[Path, ...]) -> Mapping[str, Task]:
    tasks: dict[str, Task] = {}
    includes: dict[Path, _Config] = {}
    for path in _task_files(roots):
        task = _task(path, _config(path, includes))
        if task is None:
            continue
        if task.name in tasks:
            raise UserError(
                f"task {task.name!r} is defined twice: {tasks[task.name].path} and {path}; "
                "rename or remove one"
            )
        tasks[task.name] = task
    return MappingProxyType(tasks)


def of_family(family: str, include: tuple[Path, ...] = ()) -> tuple[Task, ...]:
    """Return the tasks of a family in the order of the catalogue, without the generic one."""
    tasks = catalogue(include).values()
    found = tuple(task for task in tasks if task.family == family and not task.generic)
    if not found:
        raise unknown("task family", family, {task.family for task in tasks}, _HINT)
    return found


def find(name: str, include: tuple[Path, ...] = ()) -> Task:
    """Return a task by name; a benchmark's own language codes are understood (``wmt22_cs-en``).

    Any pair of a multi-parallel benchmark is a task, whether or not it has a file.

    Raises:
        UserError: there is no such task; near names are suggested.
    """
    tasks = catalogue(include)
    if name in tasks:
        return tasks[name]
    family, _, rest = name.partition("_")
    names = list(tasks)
    if family in sources.SPLITS:
        if lang := _key(rest, family):
            spelled = f"{family}_{lang}"
            if spelled in tasks:
                return tasks[spelled]
        for src, tgt in _sides(rest):
            found = _pair(family, _key(src, family), _key(tgt, family), tasks)
            if found:
                return found
            names += _near_pairs(family, src, tgt, tasks)
    raise unknown("task", name, names, _HINT)


def digest(task: Task) -> str:
    """Return the SHA-256 of what defines a task: its YAML, the includes, Python files beside them.

    The same files give the same digest wherever they lie. Functions of installed packages that the
    YAML names are not in it: those packages' versions are recorded beside it.
    """
    files = _with_includes(task.path)
    beside = dict.fromkeys(path.parent for path in files)
    modules = [path for folder in beside for path in sorted(folder.glob("*.py"))]
    return provenance.digest(
        [
            [task.name, task.src_lang, task.tgt_lang],
            [provenance.digest_file(path) for path in files],
            [[path.name, provenance.digest_file(path)] for path in modules],
        ]
    )


def folders(include: tuple[Path, ...] = ()) -> tuple[Path, ...]:
    """Return the folders that hold task files: the bundled one, then those given."""
    for folder in include:
        if not folder.is_dir():
            raise UserError(
                f"no folder of tasks at {folder}: give the folder that holds the YAML files"
            )
    return (resources.folder("tasks"), *include)


def _task_files(roots: tuple[Path, ...]) -> Iterator[Path]:
    for folder in roots:
        found = (path for path in folder.glob("**/*.yaml") if _NOT_TASKS.isdisjoint(path.parts))
        yield from sorted(found, key=Path.as_posix)


def _config(path: Path, includes: dict[Path, _Config], above: tuple[Path, ...] = ()) -> _Config:
    """Read a file, its includes merged as lm-eval does; ``includes`` keeps those already read."""
    own = _parse(path)
    merged: _Config = {}
    for target in _targets(path, own, above):
        if target not in includes:
            includes[target] = _config(target, includes, (*above, path))
        merged |= includes[target]
    return merged | own


def _with_includes(path: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    targets = _targets(path, _parse(path), above)
    return [path, *(file for target in targets for file in _with_includes(target, (*above, path)))]


def _targets(path: Path, config: _Config, above: tuple[Path, ...]) -> list[Path]:
    named = config.get("include") or []
    targets = [path.parent / name for name in ([named] if isinstance(named, str) else named)]
    for target in targets:
        if target in (*above, path):
            raise UserError(f"{path}: includes itself through {target.name}: remove the include")
        if not target.is_file():
            raise UserError(f"{path}: includes {target}, which is not there: mend the include")
    return targets


def _parse(path: Path) -> _Config:
    loader = _Loader(path.read_bytes())
    try:
        config = loader.get_single_data()
    except (yaml.YAMLError, ValueError) as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else f"{path}"
        problem = getattr(fault, "problem", None) or fault
        raise UserError(f"{where}: not valid YAML ({problem}): mend or remove the file") from None
    finally:
        loader.dispose()
    if not isinstance(config, dict):
        raise UserError(f"{path}:1: a task file is a mapping: mend or remove the file")
    return config


def _task(path: Path, config: _Config) -> Task | None:
    """Return the task that a file defines, or none for a group of tasks."""
    if "group" in config and "class" not in config:
        return None
    name, metadata = config.get("task"), config.get("metadata")
    if not isinstance(name, str):
        raise UserError(f"{path}: no task name: add `task: NAME`, or drop the suffix of a template")
    if not isinstance(metadata, dict):
        metadata = {}
    if lacking := _lacking(name, metadata):
        raise UserError(
            f"{path}: metadata has no {' and no '.join(lacking)}: add it there (metadata in "
            "an include is replaced, not merged)"
        )
    chance = metadata.get("chance")
    if chance is not None and not isinstance(chance, int | float):
        raise UserError(f"{path}: chance in metadata is {chance!r}: write a number from 0 to 1")
    return Task(
        name=name,
        family=str(metadata["family"]),
        src_lang=metadata.get("src_lang"),
        tgt_lang=metadata.get("tgt_lang"),
        lang=metadata.get("lang"),
        output_type=config.get("output_type", "generate_until"),
        version=str(metadata["version"]),
        chance=None if chance is None else float(chance),
        path=path,
        num_fewshot=_shots(path, config),
        metrics=tuple(_names(path, config, "metric_list", "metric")) or _default_metrics(config),
        filters=tuple(_names(path, config, "filter_list", "name")) or ("none",),
        code=tuple(sorted({*_code(config), *_evaluated(config)})),
    )


def _shots(path: Path, config: _Config) -> int | None:
    shots = config.get("num_fewshot")
    if shots is None:
        return None
    if not isinstance(shots, int) or isinstance(shots, bool) or shots < 0:
        raise UserError(f"{path}: num_fewshot is {shots!r}: write a whole number, at least 0")
    return shots


def _names(path: Path, config: _Config, key: str, name: str) -> Iterator[str]:
    listed = config.get(key) or []
    for entry in listed if isinstance(listed, list) else [listed]:
        if not isinstance(entry, dict) or not isinstance(entry.get(name), str):
            raise UserError(f"{path}: an entry of {key} has no {name}: write - {name}: NAME")
        yield str(entry[name])


def _default_metrics(config: _Config) -> tuple[str, ...]:
    if config.get("metric_list") is not None:
        return ()
    return _DEFAULT_METRICS.get(config.get("output_type", "generate_until"), ())


def _evaluated(config: _Config) -> Iterator[str]:
    """Return the metrics that the library evaluate would load, which is code."""
    # With process_results lm-eval looks for no metric.
    listed = config.get("metric_list") if config.get("process_results") is None else None
    for entry in listed or ():
        if entry["metric"] not in LM_EVAL_METRICS or entry.get("hf_evaluate"):
            yield str(entry["metric"])


def _code(value: Any) -> Iterator[str]:
    if isinstance(value, _Code):
        yield str(value)
    elif isinstance(value, dict):
        if "class" in value:
            yield str(value["class"])
        for part in value.values():
            yield from _code(part)
    elif isinstance(value, list):
        for part in value:
            yield from _code(part)


def _lacking(name: str, metadata: _Config) -> list[str]:
    lacking = [key for key in ("version", "family") if key not in metadata]
    pair = [key for key in ("src_lang", "tgt_lang") if key not in metadata]
    if len(pair) == 1:
        lacking += pair
    if len(pair) == 2 and "lang" not in metadata and name != f"{metadata.get('family')}_pair":
        lacking.append("lang (or src_lang and tgt_lang)")
    return lacking


def _sides(direction: str) -> list[tuple[str, str]]:
    """Return each way to cut ``eng-zho-CN`` in two: NTREX has hyphens in its codes."""
    parts = direction.split("-")
    return [("-".join(parts[:cut]), "-".join(parts[cut:])) for cut in range(1, len(parts))]


def _key(code: str, family: str) -> str | None:
    """Return the key of a language of this benchmark, however spelled; none if it is not in it."""
    try:
        key = languages.resolve(code, family)
    except UserError:
        return None
    return key if key in languages.codes(family) else None


def _pair(family: str, src: str | None, tgt: str | None, tasks: Mapping[str, Task]) -> Task | None:
    if src is None or tgt is None or src == tgt:
        return None
    name, generic = f"{family}_{src}-{tgt}", tasks.get(f"{family}_pair")
    if name in tasks:
        return tasks[name]
    # WMT22 is not multi-parallel: the pairs with a file are all there are.
    if generic is None or family == "wmt22":
        return None
    return replace(generic, name=name, src_lang=src, tgt_lang=tgt)


def _near_pairs(family: str, src: str, tgt: str, tasks: Mapping[str, Task]) -> list[str]:
    """Return the directions that share the side that is right, for suggestions."""
    if f"{family}_pair" not in tasks or family == "wmt22":
        return []
    known = languages.codes(family)
    if key := _key(src, family):
        return [f"{family}_{key}-{other}" for other in known if other != key]
    if key := _key(tgt, family):
        return [f"{family}_{other}-{key}" for other in known if other != key]
    return []
