"""``bayling-eval data``."""

from pathlib import Path

import click

from bayling_eval import plan, sources
from bayling_eval.cli import common
from bayling_eval.errors import UserError

_COLUMNS = ("file", "rows", "sha256", "status")


@click.group("data")
def command() -> None:
    """Say what data a suite needs and where they are."""


@command.command()
@click.argument("suite")
@click.option(
    "--languages", help="Only directions with one of these: codes and @sets, separated by commas."
)
@common.data_option
@common.format_option
@common.results_option
def check(
    *,
    suite: str,
    languages: str | None,
    data: Path | None,
    form: str,
    as_json: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> None:
    """List the files that SUITE needs with checksums; fail if one is missing or does not fit."""
    folder = sources.data_folder(data)
    chosen = plan.selected(plan.load(suite), languages)
    if folder is None and not all(task.family in sources.BUNDLED for task in chosen.tasks):
        raise UserError("no data folder to check: give one with --data or $BAYLING_DATA")
    files: dict[str, sources.DataFile] = {}
    faults: dict[str, None] = {}
    for task in chosen.tasks:
        try:
            files.update(
                (file.path, file)
                for file in sources.files_of(
                    task.family, task.src_lang, task.tgt_lang, task.lang, folder
                )
            )
        except UserError as fault:
            faults[str(fault)] = None
    rows = [
        {"file": file.path, "rows": file.rows, "sha256": file.sha256, "status": "ok"}
        for _, file in sorted(files.items())
    ]
    document = {
        "schema": "bayling_eval.data/1",
        "folder": str(folder) if folder else None,
        "rows": rows,
        "faults": list(faults),
    }
    common.emit(document, "json" if as_json else form, _COLUMNS)
    if faults:
        more = f" (and {len(faults) - 1} more; --json lists them)" if len(faults) > 1 else ""
        raise UserError(f"{next(iter(faults))}{more}")
    if not quiet:
        found = f"{len(chosen.tasks)} tasks, {len(rows)} files in {folder or 'the package'}"
        click.echo(f"{found}: all there and of equal length", err=True)
