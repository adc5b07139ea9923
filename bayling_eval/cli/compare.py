"""``bayling-eval compare``."""

from collections import Counter
from pathlib import Path

import click

from bayling_eval import store
from bayling_eval.cli import common
from bayling_eval.compare import MARKS, Comparisons, compare
from bayling_eval.records import Comparison, MacroRow

_COLUMNS = (
    "",
    "task",
    "baseline",
    "candidate",
    "delta",
    "ci_low",
    "ci_high",
    "p_adjusted",
    "detectable",
    "n",
    "verdict",
)
_MACRO = ("group", "delta", "these languages", "languages like these", "n")


@click.command()
@click.argument("candidate")
@click.argument("baselines", nargs=-1, required=True, metavar="BASELINE...")
@common.compare_options
@common.format_option
@common.results_option
def command(
    *,
    candidate: str,
    baselines: tuple[str, ...],
    names: tuple[str, ...],
    references: tuple[str, ...],
    trials: int,
    form: str,
    as_json: bool,
    results: Path,
    quiet: bool,
    verbose: bool,
) -> None:
    """Compare CANDIDATE with each BASELINE, paired by segment, worst first.

    ▼ regressed, ▽ leans down, ≈ real but under the minimum effect, · no change detected,
    △ leans up, ▲ improved; x not comparable, ? missing. Filled marks survive Holm's correction at
    5 % over the directions of one comparison and metric; hollow ones Benjamini-Hochberg at 10 %.
    """
    chosen = store.find(results, candidate)
    others = [store.find(results, name) for name in dict.fromkeys(baselines)]
    found = [
        compare(
            chosen,
            other,
            names=names,
            references=references,
            trials=trials,
            progress=common.progress(quiet, f"{chosen.name} / {other.name}"),
        )
        for other in others
    ]
    common.end_progress(quiet)
    rows = [row for pair in found for row in pair.rows]
    macro = [row for pair in found for row in pair.macro]
    form = "json" if as_json else form
    document = {
        "schema": "bayling_eval.compare/1",
        "rows": [r.model_dump() for r in rows],
        "macro": [r.model_dump() for r in macro],
    }
    if form in ("json", "csv"):
        common.emit(document, form, list(Comparison.model_fields))
    else:
        for pair in found:
            _print(pair, form)
    common.judge(found)


def _print(pair: Comparisons, form: str) -> None:
    for name in dict.fromkeys(row.metric for row in pair.rows):
        rows = [row for row in pair.rows if row.metric == name]
        counts = Counter[str](row.verdict for row in rows)
        summary = "  ".join(
            f"{mark} {counts[verdict]}" for verdict, mark in MARKS.items() if counts[verdict]
        )
        who = f"{pair.candidate.name} against {pair.baseline.name}"
        heading = f"{name}: {who}, {len(rows)} directions  {summary}"
        click.echo(
            heading
            if form == "table"
            else f"\n**{common.printable(heading)}**\n"
            if form == "md"
            else f"% {heading}"
        )
        common.emit({"rows": [_row(row) for row in rows]}, form, _COLUMNS)
        averages = [_macro_row(row) for row in pair.macro if row.metric == name]
        if averages:
            click.echo("")
            common.emit({"rows": averages}, form, _MACRO)
        click.echo("")
    diffs = sorted({diff for row in pair.rows for diff in row.settings_diff})
    if diffs and form == "table":
        click.echo(f"note: {'; '.join(diffs)}: compared on outputs alone\n")


def _row(row: Comparison) -> dict[str, object]:
    verdict = row.verdict if row.reason is None else f"{row.verdict}: {row.reason}"
    return {
        "": MARKS[row.verdict],
        "task": row.task,
        "baseline": row.baseline_value,
        "candidate": row.candidate_value,
        "delta": row.delta,
        "ci_low": row.ci_low,
        "ci_high": row.ci_high,
        "p_adjusted": row.p_adjusted,
        "detectable": row.detectable_effect,
        "n": row.n,
        "verdict": verdict,
    }


def _macro_row(row: MacroRow) -> dict[str, object]:
    return {
        "group": row.group,
        "delta": row.delta,
        "these languages": _interval(row.ci_low, row.ci_high),
        "languages like these": _interval(row.population_ci_low, row.population_ci_high),
        "n": f"{row.n}/{row.n_expected}",
    }


def _interval(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"[{low:+.2f}, {high:+.2f}]"
