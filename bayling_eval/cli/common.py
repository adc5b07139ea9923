"""What verbs share: options, progress on stderr, and one way to print rows on stdout."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.cells import cell_len

from bayling_eval import resources, sources
from bayling_eval.cli import latex
from bayling_eval.errors import IncomparableError, IncompleteError, UserError
from bayling_eval.spreadsheet import csv_text
from bayling_eval.tasks import Task

if TYPE_CHECKING:
    # Comparing loads numpy, which most verbs do without.
    from bayling_eval.compare import Comparisons

C = TypeVar("C", bound=Callable[..., Any])
Row = Mapping[str, Any]

FORMATS = ("table", "md", "csv", "latex", "json")
_NUMBER = re.compile(r"–|≤?[+-]?[\d,]+(\.\d+)?(e-?\d+)?(/\d+)?")


def results_option(command: C) -> C:
    """Add ``--results`` and the two options of loudness."""
    for option in (
        click.option(
            "--results",
            type=click.Path(path_type=Path, file_okay=False),
            envvar="BAYLING_RESULTS",
            default=Path("results"),
            show_default=True,
            help="Folder of results ($BAYLING_RESULTS).",
        ),
        click.option("-q", "--quiet", is_flag=True, help="No progress."),
        click.option("-v", "--verbose", is_flag=True, help="Tracebacks of faults."),
    ):
        command = option(command)
    return command


def data_folder(data: Path | None, quiet: bool) -> Path | None:
    """Return the data folder; where there is none, say that the hub is asked."""
    folder = sources.data_folder(data)
    if folder is None and not quiet:
        click.echo("no data folder (--data, $BAYLING_DATA): asking the hub", err=True)
    return folder


def data_of(tasks: Iterable[Task], data: Path | None, quiet: bool) -> Path | None:
    """Return the folder that tasks are read from: what is bundled needs none that is named."""
    bundled = all(task.family in sources.BUNDLED for task in tasks)
    return data if bundled else data_folder(data, quiet)


def data_option(command: C) -> C:
    """Add ``--data``."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path),
        envvar="BAYLING_DATA",
        help="Folder of benchmark data ($BAYLING_DATA); without one, the hub.",
    )(command)


def include_option(command: C) -> C:
    """Add ``--include-path`` and ``--allow-task-code``."""
    command = click.option(
        "--allow-task-code", is_flag=True, help="Run functions that task files of yours name."
    )(command)
    return click.option(
        "--include-path",
        "include",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="DIR",
        help="Folder of task files of your own; may be repeated.",
    )(command)


def check_code(chosen: Iterable[Task], allowed: bool) -> None:
    """Refuse task files that name code, unless the user said that it may run.

    Raises:
        UserError: a task outside the bundled folder names a function or a class.
    """
    bundled = resources.folder("tasks")
    for task in chosen:
        if task.code and not allowed and not task.path.is_relative_to(bundled):
            raise UserError(
                f"{task.path}: names code to run ({', '.join(task.code[:3])}): read it, and add "
                "--allow-task-code if you trust it"
            )


def format_option(command: C) -> C:
    """Add ``--format`` and ``--json``."""
    command = click.option("--json", "as_json", is_flag=True, help="Short for --format json.")(
        command
    )
    return click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print.",
    )(command)


def _models(ctx: click.Context, param: click.Parameter, places: tuple[str, ...]) -> None:
    """Hand on where SentencePiece models lie: to this process and to those that count for it."""
    if places:
        from bayling_eval.metrics import spm

        before = os.environ.get(spm.VARIABLE)
        os.environ[spm.VARIABLE] = os.pathsep.join(filter(None, [spm.given(places), before]))


spm_option = click.option(
    "--spm",
    multiple=True,
    expose_value=False,
    callback=_models,
    metavar="[NAME=]PATH",
    help="SentencePiece model of spBLEU, flores200=PATH; may be repeated ($BAYLING_SPM). Default: "
    "that of sacrebleu's cache ($SACREBLEU).",
)


def say_code(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Say which metrics asked for are code of the user's own, which runs."""
    for name in dict.fromkeys(names):
        if ".py:" in name:
            click.echo(f"{name} is code of your own: it runs with all your rights", err=True)
    return names


reports_option = click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Folder of reports.",
)

references_option = click.option(
    "--references",
    multiple=True,
    metavar="[PAIR=]NAME[,NAME]",
    help="These references: A, or cs-en=B for one pair; may be repeated, the last that fits wins. "
    "Default: those a task was scored with, at first all that it has.",
)


def progress(quiet: bool, label: str) -> Callable[[str], None]:
    """Return a function that shows what is being worked on: one changing line, or lines."""
    if quiet:
        return lambda _: None
    plain = _plain()

    def show(text: str) -> None:
        if plain:
            click.echo(f"{label}: {text}", err=True)
        else:
            click.echo(f"\r\x1b[2K{label}: {text}", nl=False, err=True)

    return show


def counter(quiet: bool) -> Callable[[str, int], None]:
    """Return a function that shows how many answers a system has: each second, or each minute."""
    first: dict[str, tuple[float, int]] = {}
    last: dict[str, float] = {}

    def show(name: str, answered: int) -> None:
        now = time.monotonic()
        then, had = first.setdefault(name, (now, answered))
        if not quiet and now - last.setdefault(name, now) >= (60 if _plain() else 1):
            last[name] = now
            rate = f"{(answered - had) / (now - then):.0f}/s"
            progress(quiet, name)(f"{answered:,} answered, {rate}")

    return show


def _plain() -> bool:
    return not sys.stderr.isatty() or "CI" in os.environ or "NO_COLOR" in os.environ


def end_progress(quiet: bool) -> None:
    """Clear the changing line of a terminal."""
    if not quiet and not _plain():
        click.echo("\r\x1b[2K", nl=False, err=True)


def emit(
    document: Row, form: str, columns: Sequence[str], rows: Sequence[Row] | None = None
) -> None:
    """Print rows on stdout: JSON the whole document, CSV every key, the others ``columns``."""
    shown = document["rows"] if rows is None else rows
    if form == "json":
        click.echo(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1))
    elif form == "csv":
        keys = list(shown[0]) if shown else list(columns)
        click.echo(csv_text(keys, ([row[key] for key in keys] for row in shown)), nl=False)
    elif shown:
        cells = [[text(key, row.get(key)) for key in columns] for row in shown]
        click.echo({"table": _table, "md": _markdown, "latex": _latex}[form](columns, cells))


def text(key: str, value: Any) -> str:
    """Return a cell as people read it; a missing value is a dash, never 0."""
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2g}" if key.startswith("p_") and value < 0.01 else f"{value:.3f}"
    if isinstance(value, (list, tuple)):
        return "; ".join(map(str, value))
    return printable(str(value))


def judge(found: "Sequence[Comparisons]") -> None:
    """Raise what the exit code shall say, after everything was printed or written.

    Raises:
        IncompleteError: a system's own planned tasks have no valid score.
        IncomparableError: a pair has nothing that can be compared.
    """
    incomplete = [line for pair in found for line in pair.incomplete]
    if incomplete:
        more = f" (and {len(incomplete) - 1} more)" if len(incomplete) > 1 else ""
        raise IncompleteError(f"{incomplete[0]}{more}")
    for pair in found:
        rows = pair.rows
        if not any(row.delta is not None for row in rows):
            why = next((row.reason for row in rows if row.verdict == "incomparable"), None) or next(
                (row.reason for row in rows), "neither has scores"
            )
            raise IncomparableError(
                f"{pair.candidate.name} and {pair.baseline.name} have nothing that can be "
                f"compared: {why}"
            )


def printable(value: str) -> str:
    """Return a text that cannot steer a terminal: control characters become visible."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in value)


def _table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    widths = [max(cell_len(row[i]) for row in [columns, *cells]) for i in range(len(columns))]
    numeric = _numeric(cells, len(columns))
    lines = []
    for row in [columns, *cells]:
        padded = [
            " " * (w - cell_len(c)) + c if right else c + " " * (w - cell_len(c))
            for c, w, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def markdown(value: str) -> str:
    """Return a text that is no markup in Markdown."""
    return value.replace("|", r"\|").replace("<", "&lt;")


def _markdown(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    rule = ["--:" if right else "---" for right in _numeric(cells, len(columns))]
    escaped = [[markdown(cell) for cell in row] for row in cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in [columns, rule, *escaped])


def _latex(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    return latex.tabular(columns, cells, _numeric(cells, len(columns)))


def _numeric(cells: Sequence[Sequence[str]], width: int) -> list[bool]:
    """Return which columns hold numbers alone: ``≤0.0005``, ``+1.20``, ``1,984``, ``38/40``."""
    return [all(_NUMBER.fullmatch(row[index]) for row in cells) for index in range(width)]
