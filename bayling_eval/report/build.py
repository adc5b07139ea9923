"""From comparisons to a folder: ``index.html``, ``report.json`` and ``tables/*.csv``."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bayling_eval import aggregate
from bayling_eval.compare import Comparisons
from bayling_eval.report import brief, document, history, render, samples
from bayling_eval.report.contents import Contents, Report
from bayling_eval.report.figures import plots
from bayling_eval.rows import status_rows


def write(report: Report, reports: Path) -> Path:
    """Write a report and return the path of its page; no benchmark data are needed.

    The same results give the same bytes: there is no date in them.

    Raises:
        UserError: texts or statistics of a system are damaged or do not belong together.
    """
    report = replace(report, found=tuple(_relabelled(report)))
    scores = [[r for c in system.cells() for r in status_rows(c)] for system in report.systems]
    found = [pair.rows for pair in report.found]
    lines = {name: aggregate.lines(name, found, scores) for name in report.tables}
    rows = [line.row for own in lines.values() for line in own]
    shown = samples.collect(
        report.systems[:2],
        rows,
        single_file=report.single_file,
        fragment=render.fragment(report.names),
    )
    told = document.provenance(report, scores)
    drawn = plots.Drawn(report.headline, report.names, report.found, lines, report.row_ids)
    figures = plots.draw(drawn)
    past = history.read(report.history, report, scores)
    if past:
        figures["history"] = list(past.figures)
    contents = Contents(report, lines, shown, told, figures, past)
    folder = reports / report.name
    paper = {"brief.pdf": brief.write(contents)} if report.pdf else {}
    files = {
        **paper,
        **document.tables(contents, scores),
        **{f"samples/{name}": chunk for name, chunk in shown.chunks.items()},
        **{
            f"figures/{figure.name}.{kind}": content
            for figure in itertools.chain(*figures.values())
            for kind, content in figure.files.items()
        },
        "report.json": document.document(contents, scores),
        # Last: a report that was cut off before it was whole has no page.
        "index.html": render.page(contents).encode("utf-8", "replace"),
    }
    document.write(folder, files)
    return folder / "index.html"


def _relabelled(report: Report) -> Iterator[Comparisons]:
    """Name the systems in the rows as the page does."""
    candidate, *baselines = report.names
    for pair, baseline in zip(report.found, baselines, strict=True):
        names = {"candidate": candidate, "baseline": baseline}
        yield replace(
            pair,
            rows=[row.model_copy(update=names) for row in pair.rows],
            macro=[row.model_copy(update=names) for row in pair.macro],
        )
