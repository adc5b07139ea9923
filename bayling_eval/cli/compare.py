"""``bayling-eval compare``."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bayling_eval import store
from bayling_eval.cli import common
from bayling_eval.compare import MARKS, Comparisons, compare, minimum_effect
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
    asked = {"names": names, "references": references, "trials": trials}
    found = compare_each(chosen, others, quiet=quiet, **asked)
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
            _print(pair, form, trials)
    common.judge(found)


def compare_each(
    candidate: store.System, baselines: Sequence[store.System], *, quiet: bool, **asked: Any
) -> list[Comparisons]:
    """Compare a candidate with each baseline, with progress; ``asked`` goes to ``compare``."""
    found = []
    for baseline in baselines:
        show = common.progress(quiet, f"{candidate.name} / {baseline.name}")
        found.append(compare(candidate, baseline, progress=show, **asked))
    common.end_progress(quiet)
    return found


def _print(pair: Comparisons, form: str, trials: int) -> None:
    # The marks are not in the fonts that pdflatex uses; the verdict says the same.
    columns = _COLUMNS[1:] if form == "latex" else _COLUMNS
    for name in dict.fromkeys(row.metric for row in pair.rows):
        rows = [row for row in pair.rows if row.metric == name]
        counts = Counter[str](row.verdict for row in rows)
        marks = "  ".join(f"{m} {counts[v]}" for v, m in MARKS.items() if counts[v])
        words = ", ".join(f"{counts[v]} {v}" for v in MARKS if counts[v])
        noun = "directions" if rows[0].tgt_lang else "tasks"
        who = f"{name}: {pair.candidate.name} against {pair.baseline.name}, {len(rows)} {noun}"
        _note(f"{who}  {marks}" if form == "table" else f"{who}: {words}", form)
        common.emit({"rows": [_row(row, trials) for row in rows]}, form, columns)
        averages = [_macro_row(row) for row in pair.macro if row.metric == name]
        if averages:
            click.echo("")
            common.emit({"rows": averages}, form, _MACRO)
        click.echo("")
    diffs = sorted({diff for row in pair.rows for diff in row.settings_diff})
    if diffs:
        _note(f"note: {'; '.join(diffs)}: compared on outputs alone", form)
        click.echo("")


def _note(line: str, form: str) -> None:
    click.echo({"table": line, "md": f"{line}\n", "latex": f"% {line}"}[form])


def _row(row: Comparison, trials: int) -> dict[str, object]:
    verdict = row.verdict if row.reason is None else f"{row.verdict}: {row.reason}"
    adjusted: object = row.p_adjusted
    # No trial reached the difference: all that is known is that p is not above this.
    if row.p_value is not None and row.p_value * (trials + 1) < 1.5:
        adjusted = f"≤{common.text('p_adjusted', row.p_adjusted)}"
    return {
        "": MARKS[row.verdict],
        "task": row.task,
        "baseline": row.baseline_value,
        "candidate": row.candidate_value,
        "delta": row.delta,
        "ci_low": row.ci_low,
        "ci_high": row.ci_high,
        "p_adjusted": adjusted,
        "detectable": row.detectable_effect,
        "n": row.n,
        "verdict": verdict,
    }


def _macro_row(row: MacroRow) -> dict[str, object]:
    return {
        "group": row.group,
        "delta": row.delta,
        "these languages": _interval(row, row.ci_low, row.ci_high),
        "languages like these": _interval(row, row.population_ci_low, row.population_ci_high),
        "n": f"{row.n}/{row.n_expected}",
    }


def _interval(row: MacroRow, low: float | None, high: float | None) -> str | None:
    # Two digits are too few for what goes from 0 to 1.
    digits = 3 if minimum_effect(row.metric) < 0.1 else 2
    return None if low is None or high is None else f"[{low:+.{digits}f}, {high:+.{digits}f}]"
