"""What ``run`` and ``doctor`` both take of models and tasks, and what it adds up to."""

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bayling_eval import plan
from bayling_eval.backends import BACKENDS
from bayling_eval.cli import common
from bayling_eval.errors import UserError, unknown
from bayling_eval.models import Wanted
from bayling_eval.plan import Selection, Suite, SuiteModel


@dataclass(frozen=True)
class Which:
    """Which tasks of a suite are asked, and how."""

    glob: str | None
    """Names of tasks."""
    languages: str | None
    """Codes and ``@sets``, one of which a task has."""
    limit: int | None
    """Only the first documents."""
    num_fewshot: int | None
    """Examples in the prompt."""
    include: tuple[Path, ...]
    """Folders of the user's own task files."""
    allow_task_code: bool
    """Whether code that those name may run."""

    def load(self, suite: str) -> Suite:
        """Return the suite of a name or file."""
        return plan.load(suite, self.include)

    def select(self, suite: Suite, chat: str | None) -> Selection:
        """Return the tasks; with ``chat``, what the suite says of chat templates is left out.

        Raises:
            UserError: no such task or language, or code that may not run.
        """
        found = plan.selected(suite, self.languages, only_tasks=self.glob, include=self.include)
        common.check_code(found.tasks, self.allow_task_code)
        if not chat:
            return found
        entries = (dataclasses.replace(entry, chat=None) for entry in found.entries)
        return dataclasses.replace(found, entries=tuple(entries))


def task_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what is said of tasks, and hand it on together as ``which``."""

    @functools.wraps(command)
    def gathered(**given: Any) -> Any:
        said = {field.name: given.pop(field.name) for field in dataclasses.fields(Which)}
        return command(which=Which(**said), **given)

    found = common.include_option(gathered)
    for option in (
        click.option("--num-fewshot", type=click.IntRange(0), help="Examples in the prompt."),
        click.option(
            "--limit",
            type=click.IntRange(1),
            help="Only the first documents: a partial cell.",
        ),
        click.option(
            "--languages", metavar="LIST|@SET", help="Only tasks with one of these languages."
        ),
        click.option("--tasks", "glob", metavar="GLOB", help="Only tasks of these names."),
    ):
        found = option(found)
    return found


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what is said of models; a suite's ``[[models]]`` may say the same."""
    for option in (
        click.option("--name", help="Name of the system, with one model."),
        click.option("--preset", help="How a folder is asked; `ls models` lists presets."),
        click.option(
            "--prompt-set", help="Wording of translation prompts; task is the task's own."
        ),
        click.option("--adapter", metavar="PATH", help="Folder of a LoRA adapter."),
        click.option("--revision", help="Revision on the hub."),
        click.option(
            "--fewshot-as-multiturn/--no-fewshot-as-multiturn",
            default=None,
            help="Each example is a turn of its own; under a chat template the default.",
        ),
        click.option("--system-instruction", metavar="TEXT", help="System message."),
        click.option(
            "--apply-chat-template",
            type=click.Choice(["auto", "on", "off"]),
            help="Apply the chat template; auto: where a preset has one, to tasks that generate.",
        ),
        click.option(
            "--seed", type=click.IntRange(0), help="Seed of sampling and examples [1234]."
        ),
        click.option(
            "--model-args", callback=_values, metavar="ARGS", help="dtype=bfloat16,device=cuda:0"
        ),
        click.option(
            "--gen-kwargs", callback=_values, metavar="ARGS", help="temperature=0.7,do_sample=true"
        ),
        click.option("--backend", help="Engine: transformers (default), vllm or echo."),
        click.option(
            "-m",
            "--model",
            "models",
            multiple=True,
            metavar="MODEL",
            help="Preset, folder or hub id; may be repeated. Default: the suite's.",
        ),
    ):
        command = option(command)
    return command


def wanted(suite: Suite, said: dict[str, Any]) -> list[Wanted]:
    """Return the models of the command line, else the suite's; what was said on the former wins.

    Raises:
        UserError: an option without its value, an unknown engine, no model or one name for several.
    """
    empty = [name for name, value in said.items() if value == "" and name != "system_instruction"]
    if empty or "" in said["models"]:
        option = f"--{empty[0].replace('_', '-')}" if empty else "--model"
        raise UserError(f"{option} is empty: give it a value, or leave it out")
    ids, name, backend = said.pop("models"), said.pop("name"), said["backend"]
    if backend and backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    given = {key: value for key, value in said.items() if value not in (None, {})}
    listed = [SuiteModel(id=one) for one in ids] or list(suite.models)
    if not listed and given.get("backend") == "echo":
        listed = [SuiteModel(id="echo")]
    if not listed:
        raise UserError(
            f"no model for suite {suite.name}: give one with -m, or [[models]] in a file"
        )
    if name and len(listed) > 1:
        raise UserError(f"--name {name} with {len(listed)} models: give one model")
    found = []
    for model in listed:
        fields = {k: v for k, v in model.model_dump().items() if v not in (None, {})}
        fields |= given | ({"name": name} if name else {})
        fields["model_args"] = {**model.model_args, **given.get("model_args", {})}
        found.append(Wanted(**fields))
    return found


def _values(ctx: click.Context, param: click.Parameter, text: str | None) -> dict[str, Any]:
    """Read ``a=1,b=x`` or a JSON object, as lm-eval does."""
    if not text:
        return {}
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text, parse_constant=_no_number)
        except ValueError as fault:
            raise click.BadParameter(f"not JSON: {fault}") from None
        return dict(found)
    pairs = [part.partition("=") for part in text.split(",")]
    for name, equals, _ in pairs:
        if not equals or not name:
            raise click.BadParameter(f"{name!r} is not name=value; write for example a=1,b=x")
    return {name.strip(): _value(value.strip()) for name, _, value in pairs}


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        if kind is float and not math.isfinite(found):
            raise click.BadParameter(f"{text!r} is no number that can be used")
        return found
    return text
