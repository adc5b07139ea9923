"""What ``scores`` and ``compare`` share where they show published scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from bayling_eval import published
from bayling_eval.errors import unknown
from bayling_eval.published import Context, PublishedScore
from bayling_eval.records import Comparison, Score

if TYPE_CHECKING:
    # Comparing loads numpy, which `scores` does without.
    from bayling_eval.cli.compare_view import Block, Texts

published_option = click.option(
    "--published",
    "papers",
    multiple=True,
    metavar="SYSTEM",
    help="Show what papers print of this system too, NLLB-200, or all; may be repeated. "
    "`bayling-eval ls published` lists them.",
)


@dataclass(frozen=True)
class Papers:
    """Published systems that were asked for, beside the rows of a comparison."""

    names: tuple[str, ...]
    scores: tuple[PublishedScore, ...]

    @classmethod
    def of(cls, names: tuple[str, ...]) -> "Papers":
        """Look the systems up.

        Raises:
            UserError: there is none of such a name.
        """
        return cls(names, published.choose(names))

    def beside(self, rows: Sequence[Comparison], metric: str | None = None) -> Context:
        """Return the scores that belong beside these rows, averaged as our differences by side."""
        from bayling_eval.macro import GROUPINGS

        groups = {row.task: name for row in rows if (name := GROUPINGS["side"](row))}
        families = {row.task: row.family for row in rows}
        return Context.of(self.scores, families, groups, metric)

    def onto(self, rows: Sequence[Comparison], block: "Block") -> "Block":
        """Return a block with a column a published system, its means and whose they are.

        ``rows`` are those of the block's pair, in the order in which the block shows the first.
        """
        own = [row for row in rows if row.metric == block.metric]
        context = self.beside(own, block.metric)
        if not context.scores:
            return block
        shown = [row.task for row in own if row.delta is not None][: len(block.rows)]
        cells = ({k: _text(v) for k, v in row.items()} for row in context.cells(shown))
        columns: list[Texts] = [
            {**row, **more} for row, more in zip(block.rows, cells, strict=True)
        ]
        few, rest = [*block.few, *_means(context)], [*block.rest, whose(context.scores)]
        return replace(block, rows=columns, few=few, rest=rest)

    def document(self, rows: Sequence[Comparison]) -> dict[str, Any]:
        """Return the keys that a JSON document gets where published scores are asked for."""
        if not self.names:
            return {}
        return self.beside(rows).document()

    def lines(self, rows: Sequence[Comparison]) -> list[dict[str, Any]]:
        """Return the lines of a CSV: the rows, the published values, and whose they are."""
        context = self.beside(rows)
        cited = {"published_citation": whose(context.scores)}
        cells = context.cells([row.task for row in rows])
        return [
            {**row.model_dump(), **more, **(cited if more else {})}
            for row, more in zip(rows, cells, strict=True)
        ]

    def cite(self, rows: Sequence[Comparison], form: str, *, quiet: bool) -> None:
        """Print the full references of what is shown, and which systems have no number here.

        A document on stdout stays one: beside it, only the latter is told, on stderr.
        """
        context = self.beside(rows)
        absent = [
            f"published: {system} has no number of these tasks; its numbers are of others "
            f"({', '.join(families)})"
            for system, families in context.absent.items()
        ]
        if published.ALL in self.names:
            absent = [] if context.scores else ["published: no system has a number of these tasks"]
        if form not in ("json", "csv"):
            _say([*_references(context.scores), *absent], form)
        elif not quiet:
            for line in absent:
                click.echo(line, err=True)


def of_metrics(scores: Sequence[PublishedScore], names: Sequence[str]) -> list[PublishedScore]:
    """Return the scores of the metrics named, of all where none is.

    Raises:
        UserError: no such score has a published metric that is named.
    """
    known = {s.metric for s in scores}
    for name in names:
        if name.endswith(published.SUFFIX) and name not in known:
            raise unknown("published metric", name, known, "Its systems: --published SYSTEM")
    return [s for s in scores if not names or s.metric in names]


def score_rows(scores: Sequence[PublishedScore]) -> list[dict[str, Any]]:
    """Return rows with the keys of ours; what a paper does not say is None.

    ``reason`` says whose number it is: a row stands alone in a spreadsheet.
    """
    blank = dict.fromkeys(Score.model_fields)
    return [
        {
            **blank,
            "system": s.system,
            "task": s.task,
            "family": s.family,
            "src_lang": s.src_lang,
            "tgt_lang": s.tgt_lang,
            "metric": s.metric,
            "value": s.value,
            "higher_is_better": s.metric != "ter-published",
            "status": "ok",
            "reason": "; ".join(filter(None, [f"{s.citation}, {s.table}, {s.licence}", s.note])),
        }
        for s in scores
    ]


def _references(scores: Sequence[PublishedScore]) -> list[str]:
    """Return the full reference and the licence of each source of these scores."""
    return [
        f"{row['citation']} ({', '.join(row['systems'])}): {row['reference']}. {row['url']}. "
        f"Licence: {row['licence']}"
        for row in published.citations(scores)
    ]


def whose(scores: Sequence[PublishedScore]) -> str:
    """Return the line that stands wherever published scores are shown."""
    cited = dict.fromkeys(f"{s.citation} (licence: {s.licence})" for s in scores)
    return f"published: numbers of {', '.join(cited)} on 0 to 100, as context: not tested"


def cite(scores: Sequence[PublishedScore], form: str) -> None:
    """Print under a table of scores whose numbers the published ones are."""
    _say([whose(scores), *_references(scores)] if scores else [], form)


def _say(lines: Sequence[str], form: str) -> None:
    for line in lines:
        click.echo({"table": line, "md": f"\n{line}", "latex": f"% {line}"}[form])


def _means(context: Context) -> list[str]:
    """Return a line a published system and metric: its mean of each group."""
    lines: dict[str, list[str]] = {}
    for mean in context.means():
        count = "as printed" if mean.n is None else f"{mean.n}/{mean.n_expected}"
        text = f"{mean.group} {_text(mean.value)} ({count})"
        lines.setdefault(f"{mean.system} {mean.metric}", []).append(text)
    return [f"published, mean of {name}: {', '.join(means)}" for name, means in lines.items()]


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
