"""``bayling-eval export``."""

from pathlib import Path

import click

from bayling_eval import store
from bayling_eval.cli import common
from bayling_eval.errors import IncompleteError, UserError
from bayling_eval.rows import status_rows

_NOT_SCORED = ("stale", "unscored")


@click.command()
@click.argument("systems", nargs=-1, required=True, metavar="SYSTEM...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; it can be named wherever a SYSTEM can.",
)
@click.option(
    "--with-text",
    is_flag=True,
    help="Sources, references and outputs too, for reports with samples.",
)
@common.format_option
@common.results_option
def command(
    *,
    systems: tuple[str, ...],
    output: Path,
    with_text: bool,
    results: Path,
    form: str,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write systems into one file: scores, digests and per-segment statistics."""
    chosen = [store.find(results, name) for name in systems]
    cells = [cell for system in chosen for cell in system.cells()]
    bad = {str(row.reason) for c in cells for row in status_rows(c) if row.status in _NOT_SCORED}
    if not cells or bad:
        why = next(iter(sorted(bad)), "nothing is planned")
        raise IncompleteError(f"{', '.join(systems)} cannot be exported as it stands: {why}")
    for cell in cells if with_text else ():
        cell.verified(store.SAMPLES)
    if not output.parent.is_dir():
        raise UserError(f"no folder {output.parent}: make it, or write {output.name} elsewhere")
    store.export(chosen, output, with_text=with_text)
    size = output.stat().st_size
    rows = [{"file": str(output), "bytes": size, "system": system.label} for system in chosen]
    document = {"schema": "bayling_eval.exported/1", "rows": rows}
    common.emit(document, "json" if as_json else form, list(rows[0]))
