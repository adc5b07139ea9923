"""``bayling-eval import``."""

import dataclasses
from pathlib import Path

import click

from bayling_eval import plan
from bayling_eval.cli import common
from bayling_eval.imports import ignored, import_outputs


@click.command("import")
@click.argument("name")
@click.option(
    "--suite",
    required=True,
    help="A family (wmt22) or a suite file: what the files are outputs of.",
)
@click.option(
    "--hypotheses",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with one file a direction, SRC-TGT.txt or .hypo, one segment a line.",
)
@click.option("--replace", is_flag=True, help="Take other outputs for directions that NAME has.")
@common.data_option
@common.format_option
@common.results_option
def command(
    *,
    name: str,
    suite: str,
    hypotheses: Path,
    replace: bool,
    data: Path | None,
    results: Path,
    form: str,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Make an outside system's outputs the system NAME.

    Importing more directions adds to it, the same content again changes nothing. How the outputs
    were made is unknown to us, and said so wherever they are compared.
    """
    chosen = plan.selected(plan.load(suite))
    found = import_outputs(
        results, name, chosen, hypotheses, common.data_folder(data, quiet), replace=replace
    )
    if as_json or form != "table":
        rows = [dataclasses.asdict(item) for item in found]
        document = {"schema": "bayling_eval.imported/1", "rows": rows}
        common.emit(document, "json" if as_json else form, list(rows[0]))
    elif not quiet:
        for item in found:
            empty = f", {item.n_empty} empty" if item.n_empty else ""
            line = f"{item.outcome:9}  {item.task}  {item.n} segments{empty}  ({item.file})"
            click.echo(common.printable(line))
    if not quiet:
        if left := ignored(hypotheses):
            click.echo(common.printable(f"ignored: {', '.join(left)}"), err=True)
        click.echo(f"Next: bayling-eval score {name}", err=True)
