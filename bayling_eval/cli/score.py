"""``bayling-eval score``."""

import os
from pathlib import Path

import click

from bayling_eval import evaluate, metrics, store
from bayling_eval.cli import common
from bayling_eval.errors import BaylingError, IncompleteError, UserError
from bayling_eval.tasks import find


@click.command()
@click.argument("systems", nargs=-1, metavar="[SYSTEM]...")
@click.option(
    "--metric",
    "names",
    multiple=True,
    metavar="M",
    callback=common.say_code,
    help="Metric to add, bleu:tokenize=char, or FILE.py:CLASS of your own; may be repeated. "
    f"Default: those a task was scored with, at first {', '.join(metrics.DEFAULT)}.",
)
@common.spm_option
@common.references_option
@click.option("--tasks", default="*", metavar="GLOB", help="Only tasks of these names.")
@click.option("--reset", is_flag=True, help="Forget what the tasks were scored with before.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.")
@common.include_option
@common.data_option
@common.format_option
@common.results_option
def command(
    *,
    systems: tuple[str, ...],
    names: tuple[str, ...],
    references: tuple[str, ...],
    tasks: str,
    reset: bool,
    jobs: int,
    include: tuple[Path, ...],
    allow_task_code: bool,
    data: Path | None,
    form: str,
    as_json: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> None:
    """Score systems (all of them by default) from the answers that are kept.

    What was scored before and has not changed is not scored again.
    """
    metrics.parse(names)
    specs = tuple(metrics.MetricSpec.parse(name) for name in names)
    order = evaluate.Order(
        specs, references, tasks, reset, common.data_folder(data, quiet), include, jobs
    )
    chosen = [store.find(results, name) for name in systems] or store.systems(results)
    cells = [cell for system in chosen for cell in system.cells()]
    if not cells:
        raise UserError(f"nothing to score in {results}: import outputs with `bayling-eval import`")
    evaluate.check_order(cells, order)
    planned = {name for cell in cells for name in cell.plan().tasks}
    common.check_code((find(name, include) for name in planned), allow_task_code)
    rows, faults = score_all(cells, order, quiet)
    if as_json or form != "table":
        document = {"schema": "bayling_eval.scored/1", "rows": rows}
        common.emit(document, "json" if as_json else form, ("system", "family", "tasks", "counted"))
    if faults:
        more = f" (and {len(faults) - 1} more systems)" if len(faults) > 1 else ""
        raise type(faults[0])(f"{faults[0]}{more}")


def score_all(
    cells: list[store.Cell], order: evaluate.Order, quiet: bool
) -> tuple[list[dict[str, object]], list[BaylingError]]:
    """Score cells; one that is incomplete or lacks data does not stop the others.

    Faults that the user can mend come first: they weigh more than missing answers.
    """
    rows: list[dict[str, object]] = []
    faults: list[BaylingError] = []
    labels = {id(cell): f"{cell.system.label} {cell.family}" for cell in cells}
    try:
        for cell, found in evaluate.score_cells(
            cells, order, lambda cell: common.progress(quiet, labels[id(cell)])
        ):
            common.end_progress(quiet)
            label = labels[id(cell)]
            if isinstance(found, IncompleteError):
                faults.append(found)
            elif isinstance(found, UserError):
                faults.append(UserError(f"{label}: {found}"))
            else:
                n = len(cell.plan().tasks)
                about = {"system": cell.system.label, "family": cell.family}
                rows.append({**about, "tasks": n, "counted": found})
                if not quiet:
                    click.echo(f"{label}: {found or 'none'} of {n} tasks scored anew", err=True)
    finally:
        common.end_progress(quiet)
    return rows, sorted(faults, key=lambda fault: fault.exit_code)
