"""``bayling-eval report``."""

import shlex
from dataclasses import replace
from pathlib import Path

import click

from bayling_eval import store
from bayling_eval.cli import common
from bayling_eval.cli.compare_options import Asked, average_options, compare_each, compare_options
from bayling_eval.errors import UserError
from bayling_eval.macro import Grouping
from bayling_eval.report import build


@click.command()
@click.argument("name")
@click.option("--candidate", required=True, metavar="SYSTEM", help="System that is judged.")
@click.option(
    "--baseline",
    "baselines",
    required=True,
    multiple=True,
    metavar="SYSTEM",
    help="System that it is held against; may be repeated, the first decides.",
)
@common.reports_option
@compare_options
@average_options
@common.format_option
@common.results_option
def command(
    *,
    name: str,
    candidate: str,
    baselines: tuple[str, ...],
    reports: Path,
    asked: Asked,
    form: str,
    as_json: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write the report NAME: one self-contained HTML page, its numbers as JSON and CSV beside it.

    The path of the page is printed. The page is written for incomplete systems too; it says what is
    missing, and so does the exit code.
    """
    store.check_name(name, "report")
    chosen = store.find(results, candidate)
    others = [store.find(results, spec) for spec in baselines]
    labels = [other.label for other in others]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"--baseline {label} is given twice: name each baseline once")
    # The page shows the usual averages too, whatever else is asked for.
    by = tuple(dict.fromkeys([*Grouping().by, *asked.by]))
    found = tuple(compare_each(chosen, others, replace(asked, by=by), quiet=quiet))
    words = ["bayling-eval", "report", name, "--candidate", candidate]
    words += [word for spec in baselines for word in ("--baseline", spec)]
    words += [*asked.words, "--results", str(results), "--reports", str(reports)]
    page = build.write(build.Report(name, found, asked.method, shlex.join(words)), reports)
    rows = [{"page": str(page), "candidate": candidate, "baselines": list(baselines)}]
    document = {"schema": "bayling_eval.reports/1", "rows": rows}
    if as_json or form != "table":
        common.emit(document, "json" if as_json else form, list(rows[0]))
    else:
        click.echo(page)
    common.judge(found)
