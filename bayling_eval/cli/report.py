"""``bayling-eval report``."""

import shlex
from pathlib import Path

import click

from bayling_eval import metrics, statistics, store
from bayling_eval.cli import common
from bayling_eval.compare import QUALITY, compare
from bayling_eval.errors import UserError
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
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Folder of reports.",
)
@click.option(
    "--metric",
    "names",
    multiple=True,
    help=f"Metrics to compare. Default: {', '.join(QUALITY)}.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=statistics.TRIALS,
    show_default=True,
    help="Randomisation trials a test.",
)
@common.results_option
def command(
    *,
    name: str,
    candidate: str,
    baselines: tuple[str, ...],
    reports: Path,
    names: tuple[str, ...],
    trials: int,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write the report NAME: one self-contained HTML page, its numbers as JSON and CSV beside it.

    The path of the page is printed. The page is written for incomplete systems too; it says what is
    missing, and so does the exit code.
    """
    store.check_name(name)
    chosen = store.find(results, candidate)
    others = [store.find(results, spec) for spec in baselines]
    labels = [other.label for other in others]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"--baseline {label} is given twice: name each baseline once")
    compared = tuple(dict.fromkeys(names or QUALITY))
    for metric in compared:
        metrics.make(metrics.MetricSpec(metric))
    found = tuple(
        compare(
            chosen,
            other,
            names=compared,
            trials=trials,
            progress=common.progress(quiet, f"{chosen.name} / {other.name}"),
        )
        for other in others
    )
    common.end_progress(quiet)
    words = ["bayling-eval", "report", name, "--candidate", candidate]
    words += [word for spec in baselines for word in ("--baseline", spec)]
    words += [word for metric in names for word in ("--metric", metric)]
    words += ["--trials", str(trials), "--results", str(results), "--reports", str(reports)]
    report = build.Report(name, found, compared, trials, shlex.join(words))
    click.echo(build.write(report, reports))
    common.judge(found)
