"""``bayling-eval scores``."""

from collections.abc import Iterable
from pathlib import Path

import click

from bayling_eval import metrics, published, store
from bayling_eval.cli import common, published_options
from bayling_eval.records import Score
from bayling_eval.rows import status_rows

_COLUMNS = ("system", "task", "metric", "value", "ci_low", "ci_high", "n", "signature", "status")


@click.command()
@click.argument("systems", nargs=-1, metavar="[SYSTEM]...")
@click.option(
    "--metric",
    "names",
    multiple=True,
    callback=common.say_code,
    help="Only this metric; may be repeated.",
)
@published_options.published_option
@common.format_option
@common.results_option
def command(
    *,
    systems: tuple[str, ...],
    names: tuple[str, ...],
    papers: tuple[str, ...],
    form: str,
    as_json: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> None:
    """Print one row a system, task, metric and signature (all systems by default)."""
    form = "json" if as_json else form
    made = metrics.parse(name for name in names if not name.endswith(published.SUFFIX))
    printed = published_options.of_metrics(published.choose(papers), names)
    chosen = [store.find(results, name) for name in systems]
    if not (systems or papers):
        chosen = store.systems(results)
    found = [row for system in chosen for cell in system.cells() for row in status_rows(cell)]
    rows = [row.model_dump() for row in found if not names or _asked(row, made.values())]
    rows += published_options.score_rows(printed)
    document = {"schema": "bayling_eval.scores/1", "rows": rows}
    if papers:
        document["citations"] = published.citations(printed)
    if form in ("json", "csv"):
        common.emit(document, form, _COLUMNS)
    else:
        # The average of a paper is of no task.
        shown = [row if row["task"] else {**row, "task": f"{row['family']} mean"} for row in rows]
        common.emit(document, form, _COLUMNS, shown)
        published_options.cite(printed, form)
    if not rows and not quiet:
        click.echo(f"no scores of {', '.join(systems) or 'any system'} in {results}", err=True)


def _asked(row: Score, made: Iterable[metrics.Metric]) -> bool:
    return any(
        metric.name == row.metric and metrics.fits(metric, row.tgt_lang, row.signature)
        for metric in made
    )
