"""``bayling-eval import``."""

from pathlib import Path

import click

from bayling_eval import plan, sources
from bayling_eval.cli import common
from bayling_eval.imports import import_outputs


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
@common.results_option
def command(
    *,
    name: str,
    suite: str,
    hypotheses: Path,
    replace: bool,
    data: Path | None,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> None:
    """Make an outside system's outputs the system NAME.

    Importing more directions adds to it, the same content again changes nothing. How the outputs
    were made is unknown to us, and said so wherever they are compared.
    """
    chosen = plan.selected(plan.load(suite))
    found = import_outputs(
        results, name, chosen, hypotheses, sources.data_folder(data), replace=replace
    )
    for item in found:
        empty = f", {item.n_empty} empty" if item.n_empty else ""
        click.echo(f"{item.outcome:9}  {item.task}  {item.n} segments{empty}  ({item.file})")
    if not quiet:
        click.echo(f"Next: bayling-eval score {name}", err=True)
