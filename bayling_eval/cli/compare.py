"""``bayling-eval compare``."""

from pathlib import Path

import click

from bayling_eval import store
from bayling_eval.cli import common, compare_latex, compare_sacrebleu, compare_view
from bayling_eval.cli.compare_options import Asked, average_options, compare_each, compare_options
from bayling_eval.cli.published_options import Papers, published_option
from bayling_eval.compare import Comparisons
from bayling_eval.errors import UserError
from bayling_eval.records import Comparison
from bayling_eval.significance import Test


@click.command()
@click.argument("candidate")
@click.argument("baselines", nargs=-1, required=True, metavar="BASELINE...")
@compare_options
@average_options
@published_option
@click.option("--all", "every", is_flag=True, help="Every row, not only the 15 worst.")
@click.option(
    "--rows",
    type=click.Choice(list(compare_latex.LAYOUTS)),
    help="Of LaTeX tables: task, one comparison a line (default); system or lang, scores and "
    "averages of all systems, each held against the first BASELINE.",
)
@click.option(
    "--cols",
    type=click.Choice(sorted({col for cols in compare_latex.LAYOUTS.values() for col in cols})),
    help="Beside --rows system: group (default) or lang; beside --rows lang: system.",
)
@click.option(
    "--sacrebleu-compatible",
    "paired",
    type=click.Choice(["bs", "ar"]),
    help="Print what sacrebleu's paired test says instead, to the last p-value: bs, bootstrap, or "
    "ar, approximate randomisation ($SACREBLEU_SEED).",
)
@common.format_option
@common.results_option
def command(
    *,
    candidate: str,
    baselines: tuple[str, ...],
    asked: Asked,
    papers: tuple[str, ...],
    every: bool,
    rows: str | None,
    cols: str | None,
    paired: Test | None,
    form: str,
    as_json: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> None:
    """Compare CANDIDATE with each BASELINE, paired by segment, worst first; the first decides.

    ▼ regressed, ▽ leans down, ≈ real but under the minimum effect, · no change detected,
    △ leans up, ▲ improved; x not comparable, ? missing. Filled marks survive Holm's correction at
    5 % over the directions of one comparison and metric; hollow ones Benjamini-Hochberg at 10 %.
    """
    form = "json" if as_json else form
    layout = _layout(rows, cols, form)
    if papers and (paired or layout != compare_latex.PLAIN):
        raise UserError(
            "--published stands beside comparisons one by one: leave out --rows, --cols and "
            "--sacrebleu-compatible"
        )
    printed = Papers.of(papers)
    chosen = store.find(results, candidate)
    others = [store.find(results, name) for name in dict.fromkeys(baselines)]
    if paired:
        compare_sacrebleu.show(chosen, others, asked, paired, form)
        return
    if layout != compare_latex.PLAIN:
        found = compare_latex.against_first(chosen, others, asked, quiet=quiet)
    else:
        found = compare_each(chosen, others, asked, quiet=quiet)
    if form in ("json", "csv"):
        every_row = [row for pair in found for row in pair.rows]
        document = _document(found) | printed.document(every_row)
        common.emit(document, form, list(Comparison.model_fields), printed.lines(every_row))
    elif form == "latex":
        for text in compare_latex.tables(found, layout, asked, printed):
            click.echo(f"{text}\n")
    else:
        _print(found, asked, printed, form, every=every)
    printed.cite([row for pair in found for row in pair.rows], form, quiet=quiet)
    common.judge(found)


def _layout(rows: str | None, cols: str | None, form: str) -> tuple[str, str | None]:
    """Return what stands in rows and columns of a LaTeX table.

    Raises:
        UserError: another format has no layouts, or the two do not go together.
    """
    if (rows or cols) and form != "latex":
        raise UserError("--rows and --cols lay out LaTeX tables: add --format latex")
    known = compare_latex.LAYOUTS[rows or "task"]
    if cols and cols not in known:
        fits = " or ".join(f"--cols {col}" for col in known) or "no --cols"
        raise UserError(f"--cols {cols} does not go with --rows {rows or 'task'}: write {fits}")
    return rows or "task", cols or next(iter(known), None)


def _document(found: list[Comparisons]) -> dict[str, object]:
    return {
        "schema": "bayling_eval.compare/1",
        "rows": [row.model_dump() for pair in found for row in pair.rows],
        "macro": [row.model_dump() for pair in found for row in pair.macro],
    }


def _print(
    found: list[Comparisons], asked: Asked, printed: Papers, form: str, *, every: bool
) -> None:
    for pair, blocks in compare_view.blocks(found, asked.method, asked.by, every=every):
        for block in blocks:
            compare_view.show(printed.onto(pair.rows, block), form)
        if settings := compare_view.differing([pair]):
            compare_view.say([f"note: {settings}: compared on outputs alone"], form)
            click.echo("")
