"""``bayling-eval export``."""

from pathlib import Path

import click

from bayling_eval import store
from bayling_eval.cli import common


@click.command()
@click.argument("systems", nargs=-1, required=True, metavar="SYSTEM...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; it can be named wherever a SYSTEM can.",
)
@click.option(
    "--with-text",
    is_flag=True,
    help="Sources, references and outputs too, for reports with samples.",
)
@common.results_option
def command(
    *,
    systems: tuple[str, ...],
    output: Path,
    with_text: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write systems into one file: scores, digests and per-segment statistics."""
    chosen = [store.find(results, name) for name in systems]
    store.export(chosen, output, with_text=with_text)
    click.echo(f"{output}  {output.stat().st_size:,} bytes  {', '.join(s.label for s in chosen)}")
