"""``bayling-eval doctor``."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bayling_eval import comet, doctor, plan, run
from bayling_eval.cli import common
from bayling_eval.cli.model_options import Which, model_options, task_options, wanted
from bayling_eval.doctor import Row
from bayling_eval.errors import UserError

_COLUMNS = ("check", "status", "found", "do")


@click.command()
@click.argument("suite", required=False)
@model_options
@task_options
@click.option(
    "--install",
    type=click.Choice(["comet"]),
    help="Make the environment that COMET runs in, and look at nothing.",
)
@click.option(
    "--comet-env",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of that environment ($BAYLING_COMET). Default: in the user's cache.",
)
@click.option("--verify", is_flag=True, help="Read the weights anew, and compare their digests.")
@common.data_option
@common.format_option
@common.results_option
def command(
    *,
    suite: str | None,
    which: Which,
    install: str | None,
    comet_env: Path | None,
    verify: bool,
    data: Path | None,
    form: str,
    as_json: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
    **said: Any,
) -> None:
    """Say what is missing for a run, before a GPU is reserved; only --install fetches anything.

    It looks at packages, devices, checkpoints, memory, data and disk, and exits with 0 only where
    `run` with the same words could start without a network. Without SUITE it looks at packages,
    devices, and the models that are named.
    """
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    if comet_env is not None:
        os.environ["BAYLING_COMET"] = str(comet_env)
    if install is not None:
        _install(quiet)
        return
    ask = dataclasses.replace(_ask(suite, which, data, results, said), verify=verify)
    rows = doctor.examine(ask, common.progress(quiet, "checking"))
    common.end_progress(quiet)
    document = {
        "schema": "bayling_eval.doctor/1",
        "rows": [dataclasses.asdict(row) for row in rows],
        "ready": doctor.ready(rows),
    }
    common.emit(document, "json" if as_json else form, _COLUMNS)
    if suite is None and not quiet:
        click.echo("no suite was named: data and disk were not looked at", err=True)
    _judge(rows, quiet)


def _ask(
    suite: str | None, which: Which, data: Path | None, results: Path, said: dict[str, Any]
) -> doctor.Ask:
    """Return what the user is about to run; what cannot be read of it is among the refused."""
    refused: dict[str, str] = {}
    loaded = selection = order = None
    try:
        if suite is not None:
            loaded = which.load(suite)
            selection = which.select(loaded, said["apply_chat_template"])
    except UserError as fault:
        refused["suite"] = str(fault)
    try:
        # Without a suite no data are looked at.
        folder = common.data_of(selection.tasks if selection else (), data, quiet=True)
        order = run.Order(results, folder, num_fewshot=which.num_fewshot, limit=which.limit)
    except UserError as fault:
        refused["data"] = str(fault)
    backend, models = said["backend"] or "transformers", []
    try:
        if loaded or said["models"]:
            models = wanted(loaded or plan.Suite.model_construct(models=()), said)
    except UserError as fault:
        refused["models"] = str(fault)
    return doctor.Ask(tuple(models), backend, selection, suite or "SUITE", order, refused)


def _install(quiet: bool) -> None:
    default, named = comet.folder(default=True), comet.folder()
    made = comet.install(common.progress(quiet, "COMET"))
    common.end_progress(quiet)
    if not quiet:
        done = "made" if made else "there already, and whole"
        use = "" if named == default else f"; to score with it: export BAYLING_COMET={named}"
        click.echo(f"COMET's environment in {named}: {done}{use}", err=True)


def _judge(rows: Sequence[Row], quiet: bool) -> None:
    """Raise the first of what is missing, or say that a run could start."""
    missing = [row for row in rows if row.status == "missing"]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        first = missing[0]
        raise UserError(f"{first.check}: {first.found}: {first.do}{more}")
    warnings = sum(row.status == "warning" for row in rows)
    if not quiet:
        noted = f"; {warnings} warnings" if warnings else ""
        click.echo(f"nothing is missing{noted}", err=True)
