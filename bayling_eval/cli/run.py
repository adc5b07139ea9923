"""``bayling-eval run``."""

import dataclasses
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bayling_eval import evaluate, run, store
from bayling_eval.cli import common
from bayling_eval.cli.model_options import Which, model_options, task_options, wanted
from bayling_eval.cli.score import score_all
from bayling_eval.errors import BaylingError, IncompleteError
from bayling_eval.forecast import forecast
from bayling_eval.models import Model, Wanted, shadowed_preset
from bayling_eval.plan import Selection
from bayling_eval.requests import Progress, Shard

_FORECAST = (
    *("system", "family", "selection", "tasks", "languages", "documents", "requests"),
    *("missing", "prompt_tokens", "max_output_tokens", "disk_bytes"),
)


def _shard(ctx: click.Context, param: click.Parameter, text: str | None) -> Shard:
    index, _, of = (text or "1/1").partition("/")
    if not (index.isdecimal() and of.isdecimal() and 1 <= int(index) <= int(of)):
        raise click.BadParameter(f"{text!r} is not I/N with I from 1 to N, 2/8 for example")
    return Shard(int(index), int(of))


@click.command()
@click.argument("suite")
@model_options
@task_options
@click.option("--shard", callback=_shard, metavar="I/N", help="Only this share of the documents.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked, and stop.")
@click.option("--no-score", is_flag=True, help="Leave scoring to `bayling-eval score`.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.")
@common.spm_option
@common.data_option
@common.format_option
@common.results_option
def command(
    *,
    suite: str,
    which: Which,
    shard: Shard,
    dry_run: bool,
    no_score: bool,
    jobs: int,
    data: Path | None,
    form: str,
    as_json: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
    **said: Any,
) -> None:
    """Ask checkpoints what a suite needs, only what is not answered yet, and score it.

    A run that was stopped goes on when it is started again.
    """
    loaded = which.load(suite)
    selection = which.select(loaded, said["apply_chat_template"])
    if quiet:
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    folder = common.data_of(selection.tasks, data, quiet)
    order = run.Order(results, folder, shard, which.num_fewshot, which.limit)
    named = wanted(loaded, said)
    if not quiet:
        _say_folders(named)
    models = [Model(one) for one in named]
    form = "json" if as_json else form
    if dry_run:
        found = forecast(models, selection, order, common.progress(quiet, "rendering"))
        common.end_progress(quiet)
        _emit("plan", [dataclasses.asdict(cell) for cell in found], form, _FORECAST)
        return
    if not quiet:
        _say_templates(models, selection)
    outcomes = _run(models, selection, order, quiet)
    rows = [_row(outcome) for outcome in outcomes]
    if form != "table":
        _emit("run", rows, form, list(rows[0]))
    score = evaluate.Order(data=folder, include=which.include, jobs=jobs, wait=shard.of > 1)
    failed = {outcome.system for outcome in outcomes if outcome.fault}
    cells = [] if no_score else _complete(models, selection, order)
    unscored = _score([cell for cell in cells if cell.system.label not in failed], score, quiet)
    _judge(outcomes, shard)
    if unscored:
        raise unscored


def _score(cells: list[store.Cell], order: evaluate.Order, quiet: bool) -> BaylingError | None:
    """Score; a fault is returned, as one of the run itself weighs more."""
    try:
        _, faults = score_all(cells, order, quiet)
    except BaylingError as fault:
        return fault
    return faults[0] if faults else None


def _run(
    models: list[Model], selection: Selection, order: run.Order, quiet: bool
) -> list[run.Outcome]:
    # A job manager stops with SIGTERM; it is resumable like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def progress(name: str) -> Progress:
        return common.progress(quiet, name)

    try:
        outcomes = run.run(models, selection, order, progress, common.counter(quiet))
    finally:
        common.end_progress(quiet)
    for outcome in outcomes if not quiet else ():
        click.echo(common.printable(_summary(outcome)), err=True)
        for label, found in (
            ("prompts exceed the context and were not asked", outcome.too_long),
            ("log-likelihoods have a token that spans context and continuation", outcome.spanning),
        ):
            if found:
                listed = ", ".join(f"{task} {n}" for task, n in sorted(found.items()))
                total = sum(found.values())
                click.echo(f"{outcome.system}: {total} {label}: {listed}", err=True)
    return outcomes


def _summary(outcome: run.Outcome) -> str:
    rate = f" ({outcome.answered / outcome.seconds:.0f}/s)" if outcome.answered else ""
    took = f" in {outcome.seconds:.0f} s{rate}" if outcome.answered else ""
    line = (
        f"{outcome.system}: {outcome.answered:,} requests answered{took}, "
        f"{outcome.kept:,} were there"
    )
    if outcome.unfinished:
        line += f"; {len(outcome.unfinished)} tasks wait for other answers and are not scored"
    return f"{line}; stopped: {outcome.fault}" if outcome.fault else line


def _row(outcome: run.Outcome) -> dict[str, Any]:
    found = {name: getattr(outcome, name) for name in ("system", "kept", "answered", "seconds")}
    found["unfinished"] = list(outcome.unfinished)
    found["too_long"], found["spanning"] = outcome.too_long, outcome.spanning
    found["fault"] = str(outcome.fault) if outcome.fault else None
    return found


def _emit(kind: str, rows: list[dict[str, Any]], form: str, columns: Sequence[str]) -> None:
    common.emit({"schema": f"bayling_eval.{kind}/1", "rows": rows}, form, columns)


def _say_folders(named: Sequence[Wanted]) -> None:
    for one in named:
        if preset := shadowed_preset(one):
            click.echo(
                f"{one.id} is a folder here, and the preset of that name is not applied: "
                f"--preset {preset.name} applies it",
                err=True,
            )


def _say_templates(models: list[Model], selection: Selection) -> None:
    open_entries = [entry for entry in selection.entries if entry.chat is None]
    generates = any(t.output_type == "generate_until" for e in open_entries for t in e.tasks)
    for model in models:
        if model.unused_template and generates:
            click.echo(
                f"{model.name} has a chat template, which is not applied (as in lm-eval): "
                "--apply-chat-template on applies it",
                err=True,
            )


def _complete(models: list[Model], selection: Selection, order: run.Order) -> list[store.Cell]:
    """Return the cells that have all answers asked for; with shards the last one scores."""
    found = run.cells(models, selection, order)
    names = {task.name for task in selection.tasks}
    return [
        cell
        for cell in found
        if order.shard.of == 1
        or all(p.answers_digest for name, p in cell.plan().tasks.items() if name in names)
    ]


def _judge(outcomes: list[run.Outcome], shard: Shard) -> None:
    """Raise what the exit code shall say: the worst of the faults, or that answers are missing."""
    faults = [outcome.fault for outcome in outcomes if outcome.fault]
    if faults:
        worst: BaylingError = max(faults, key=lambda fault: fault.exit_code)
        more = f" (and {len(faults) - 1} more models)" if len(faults) > 1 else ""
        raise type(worst)(f"{worst}{more}")
    unfinished = [name for outcome in outcomes for name in outcome.unfinished]
    if unfinished and shard.of == 1:
        raise IncompleteError(
            f"{len(unfinished)} tasks lack answers, {unfinished[0]} first: run again"
        )
