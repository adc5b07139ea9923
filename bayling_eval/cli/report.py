"""``bayling-eval report``."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayling_eval import store
from bayling_eval.cli import common
from bayling_eval.cli.compare_options import (
    Asked,
    average_options,
    compare_each,
    compare_options,
    under,
)
from bayling_eval.cli.published_options import Papers, published_option
from bayling_eval.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    # A page needs pandas, matplotlib and jinja2, which most verbs do without.
    from bayling_eval.compare import Comparisons
    from bayling_eval.store import System

_GROUPINGS = ("suite", "side", "language-family", "script", "speakers")
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class _Choices:
    """What a page may have beside a comparison."""

    rules: Path | None
    papers: Papers
    history: tuple[Path, ...]
    single_file: bool
    pdf: bool

    @property
    def words(self) -> list[str]:
        found = ["--rules", str(self.rules)] if self.rules else []
        found += [word for name in self.papers.names for word in ("--published", name)]
        found += [word for path in self.history for word in ("--history", str(path))]
        flags = {"--single-file": self.single_file, "--pdf": self.pdf}
        return found + [flag for flag, on in flags.items() if on]


@click.command()
@click.argument("name")
@click.option("--candidate", metavar="SYSTEM", help="System that is judged.")
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="SYSTEM",
    help="System that it is held against; may be repeated, the first decides.",
)
@click.option(
    "--series", metavar="SERIES", help="Report a line of checkpoints instead, over its steps."
)
@click.option(
    "--reference",
    metavar="SYSTEM",
    help="With --series: system that differences are from. Default: the first checkpoint.",
)
@click.option("--rules", type=_FILE, metavar="RULES", help="Judge by these gates, a TOML file.")
@published_option
@click.option(
    "--history",
    multiple=True,
    type=_FILE,
    metavar="FILE",
    help="report.json of an earlier release; may be repeated, the oldest first.",
)
@click.option(
    "--single-file",
    is_flag=True,
    help="Keep all samples on the page: what does not fit is left out, not put in files beside it.",
)
@click.option("--pdf", is_flag=True, help="Write a brief of at most three pages too, brief.pdf.")
@common.reports_option
@compare_options
@average_options
@common.format_option
@common.results_option
def command(
    *,
    name: str,
    candidate: str | None,
    baselines: tuple[str, ...],
    series: str | None,
    reference: str | None,
    reports: Path,
    asked: Asked,
    form: str,
    as_json: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
    **more: Any,
) -> None:
    """Write the report NAME: one self-contained HTML page, its numbers as JSON and CSV beside it.

    The path of the page is printed. The page is written for incomplete systems too; it says what is
    missing, and so does the exit code. Gates decide no exit code here: `gate` does.
    """
    store.check_name(name, "report")
    choices = _Choices(papers=Papers.of(more.pop("papers")), **more)
    if series:
        from bayling_eval.cli import report_series

        # A suite may say trials for all that compares with it; here only who types them is told.
        trials = click.get_current_context().params["trials"]
        pair = {"--candidate": candidate, "--baseline": baselines, "--trials": trials}
        _check_series(pair, choices, asked)
        page, curves = report_series.write(
            name, series, asked, (results, reports), reference=reference, quiet=quiet
        )
        _emit(page, {"series": series}, form, as_json=as_json)
        report_series.judge(curves)
        return
    if reference or not (candidate and baselines):
        raise UserError(
            "name --candidate and --baseline, or --series, which may have a --reference"
        )
    chosen, *others = [store.find(results, spec) for spec in (candidate, *baselines)]
    _check_once(others)
    words = ["bayling-eval", "report", name, "--candidate", candidate]
    words += [word for spec in baselines for word in ("--baseline", spec)]
    words += [*choices.words, *asked.words, "--results", str(results), "--reports", str(reports)]
    how = (choices, asked, shlex.join(words))
    page, found = _write(name, [chosen, *others], how, reports, quiet=quiet)
    told = {"candidate": candidate, "baselines": list(baselines)}
    _emit(page, told, form, as_json=as_json)
    common.judge(found)


def _check_series(said: dict[str, Any], choices: _Choices, asked: Asked) -> None:
    """Refuse what a report of a series would not heed."""
    given = [flag for flag, value in said.items() if value]
    given += [word for word in choices.words if word.startswith("--")]
    given += ["--weights"] if asked.weights else []
    if given:
        why = ", in which nothing is tested" if given[0] == "--trials" else ""
        raise UserError(f"--series is a report of its own{why}: leave out {given[0]}")


def _write(
    name: str,
    systems: "Sequence[System]",
    how: tuple[_Choices, Asked, str],
    reports: Path,
    *,
    quiet: bool,
) -> "tuple[Path, list[Comparisons]]":
    from bayling_eval.cli import compare_latex
    from bayling_eval.gate import judge
    from bayling_eval.gate import rules as files
    from bayling_eval.report import build, releases
    from bayling_eval.report.contents import Report

    choices, asked, command = how
    rules = files.load(choices.rules) if choices.rules else None
    if rules:
        # First: code that nobody agreed to would run in what follows.
        asked = replace(under(rules, asked), also=rules.metrics)
        rules.check_directions()
    # Comparing takes long: a file that cannot be read is told first.
    history = releases.load(choices.history)
    # The page shows the usual averages too, whatever else is asked for.
    by = tuple(dict.fromkeys([*_GROUPINGS, *asked.by, *(rules.groupings if rules else ())]))
    chosen, *others = systems
    found = compare_each(chosen, others, replace(asked, by=by), quiet=quiet)
    report = Report(
        name,
        tuple(found),
        asked.method,
        command,
        by=asked.by,
        judged=judge.judge(rules, found[0], asked.references) if rules else None,
        published=None,
        latex="\n\n".join(compare_latex.tables(found, compare_latex.PLAIN, asked, choices.papers))
        + "\n",
        history=history,
        single_file=choices.single_file,
        pdf=choices.pdf,
    )
    if choices.papers.names:
        beside = choices.papers.beside(found[0].rows, report.headline)
        report = replace(report, published=beside)
    return build.write(report, reports), found


def _check_once(systems: "Sequence[System]") -> None:
    labels = [system.label for system in systems]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"--baseline {label} is given twice: name each baseline once")


def _emit(page: Path, told: dict[str, Any], form: str, *, as_json: bool) -> None:
    row = {"page": str(page), **told}
    if as_json or form != "table":
        document = {"schema": "bayling_eval.reports/1", "rows": [row]}
        common.emit(document, "json" if as_json else form, list(row))
    else:
        click.echo(page)
