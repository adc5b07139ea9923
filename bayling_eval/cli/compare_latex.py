"""LaTeX of ``compare``: comparisons one by one, or all systems held against the first baseline."""

from collections.abc import Iterator, Mapping, Sequence

from bayling_eval.cli import compare_grids, compare_view
from bayling_eval.cli.compare_options import Asked, compare_each
from bayling_eval.cli.latex import Table, escape, render
from bayling_eval.cli.published_options import Papers
from bayling_eval.compare import Comparisons, averaged
from bayling_eval.macro import Grouping, Weights
from bayling_eval.store import System

LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "task": (),
    "system": ("group", "lang"),
    "lang": ("system",),
}
"""What can stand in rows, and in columns beside it, the default first."""
PLAIN = ("task", None)


def against_first(
    candidate: System, baselines: Sequence[System], asked: Asked, *, quiet: bool
) -> list[Comparisons]:
    """Compare every other system with the first baseline, the candidate first."""
    first, *others = baselines
    found = [compare_each(one, [first], asked, quiet=quiet)[0] for one in (candidate, *others)]
    weights = Weights.of(asked.weights) if asked.weights else None
    return averaged(found, Grouping(asked.by or Grouping().by, weights))


def tables(
    found: Sequence[Comparisons], layout: tuple[str, str | None], asked: Asked, printed: Papers
) -> Iterator[str]:
    """Return LaTeX tables; ``found`` is each pair for ``PLAIN``, else that of ``against_first``.

    Published scores stand in those for ``PLAIN`` alone.
    """
    if layout == PLAIN:
        for pair, blocks in compare_view.blocks(found, asked.method, asked.by, every=True):
            for block in blocks:
                shown = printed.onto(pair.rows, block)
                yield from map(render, _plain(pair, shown))
        return
    for metric in dict.fromkeys(row.metric for pair in found for row in pair.rows):
        held = compare_grids.Held(found, metric, asked)
        if layout == ("system", "group"):
            yield render(compare_grids.groups(held))
        else:
            yield from map(render, compare_grids.languages(held, across=layout[0] == "system"))


def _plain(pair: Comparisons, block: compare_view.Block) -> Iterator[Table]:
    """Return the groups of one comparison, then its rows."""
    title = compare_grids.title(block.metric) + escape(block.title.removeprefix(block.metric))
    method, signature = map(escape, block.about)
    about = (compare_grids.TEST, method, compare_grids.LEGEND, signature)
    settings = compare_grids.settings([pair])
    for kind, rows, lines in (
        ("groups", block.groups, block.few),
        ("rows", block.rows, block.rest),
    ):
        if rows:
            head = tuple(map(escape, rows[0]))
            cells = tuple(tuple(map(escape, row.values())) for row in rows)
            said = compare_grids.sentences(*about, *map(escape, lines), settings)
            label = " ".join((block.metric, pair.candidate.name, pair.baseline.name, kind))
            # The group, or the mark and the direction.
            named = 1 if kind == "groups" else 2
            yield Table(head, cells, title, said, label, frozenset(range(named)), named)
