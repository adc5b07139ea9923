"""``bayling-eval demo``."""

import shlex
from pathlib import Path

import click

from bayling_eval import resources
from bayling_eval.cli import common

# With 16 segments the smallest p is 2 / 2**16; 10,000 trials would blur it.
_TRIALS = "50000"
_SYSTEMS = ("demo-damaged", "demo-better", "demo-worse")


@click.command()
@common.reports_option
@common.results_option
def command(*, reports: Path, results: Path, quiet: bool, verbose: bool) -> int:
    """Run three tiny bundled checkpoints on the bundled sample, score them, and write a report.

    The checkpoints were trained on this very sample: their scores mean nothing. One of them is
    damaged in two languages, which the page must find. The commands are shown, to be tried on
    checkpoints of your own.
    """
    from bayling_eval.cli.main import main

    candidate, *baselines = _SYSTEMS
    where = ["--results", str(results)]
    loud = [flag for flag, on in (("-q", quiet), ("-v", verbose)) if on]
    against = [word for name in baselines for word in ("--baseline", name)]
    for words in (
        ["run", "demo", *where],
        [
            "report",
            "demo",
            "--candidate",
            candidate,
            *against,
            "--rules",
            str(resources.data_file("demo") / "rules.toml"),
            "--trials",
            _TRIALS,
            *where,
            "--reports",
            str(reports),
        ],
    ):
        if not quiet:
            click.echo(f"$ bayling-eval {shlex.join(words)}", err=True)
        if code := main([*words, *loud]):
            return code
    return 0
