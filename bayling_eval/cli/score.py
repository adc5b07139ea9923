"""``bayling-eval score``."""

import os
from pathlib import Path

import click

from bayling_eval import evaluate, metrics, sources, store
from bayling_eval.cli import common
from bayling_eval.errors import UserError


@click.command()
@click.argument("systems", nargs=-1, metavar="[SYSTEM]...")
@click.option(
    "--metric",
    "names",
    multiple=True,
    metavar="M",
    help="Metric to add, bleu:tokenize=char; may be repeated. Default: "
    f"{', '.join(metrics.DEFAULT)}.",
)
@click.option(
    "--references",
    multiple=True,
    metavar="[PAIR=]NAME[,NAME]",
    help="Score against these references instead of all of a pair's: A, or cs-en=B for one pair; "
    "may be repeated, the last that fits holds.",
)
@click.option("--tasks", default="*", metavar="GLOB", help="Only tasks of these names.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.")
@common.data_option
@common.results_option
def command(
    *,
    systems: tuple[str, ...],
    names: tuple[str, ...],
    references: tuple[str, ...],
    tasks: str,
    jobs: int,
    data: Path | None,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> None:
    """Score systems (all of them by default) from the answers that are kept.

    What was scored before and has not changed is not scored again.
    """
    order = evaluate.Order(
        tuple(metrics.MetricSpec.parse(name) for name in names),
        references,
        tasks,
        sources.data_folder(data),
        jobs,
    )
    for spec in order.metrics:
        metrics.make(spec)
    chosen = [store.find(results, name) for name in systems] or store.systems(results)
    if not chosen:
        raise UserError(f"no systems in {results}: make one with `bayling-eval import`")
    cells = [cell for system in chosen for cell in system.cells()]
    evaluate.check_order(cells, order)
    for cell in cells:
        label = f"{cell.system.label} {cell.family}"
        changed = evaluate.score_cell(cell, order, common.progress(quiet, label))
        common.end_progress(quiet)
        if not quiet:
            n = len(cell.plan().tasks)
            click.echo(f"{label}: {n} tasks {'scored' if changed else 'unchanged'}", err=True)
