"""What papers print, laid out for the page: a line a system and metric, a column a group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bayling_eval import aggregate
from bayling_eval.macro import MIN_GROUP
from bayling_eval.published import Context, GroupMean
from bayling_eval.report import table

COLUMNS = 6
"""More published columns do not stand in the table of directions; their own section has all."""


@dataclass(frozen=True)
class Line:
    """One line: the means of a system under a metric."""

    system: str
    """As the paper calls it."""
    metric: str
    """Ends in ``-published``."""
    means: tuple[GroupMean | None, ...]
    """By group; none where nothing is printed."""

    @property
    def source(self) -> str:
        """Papers and the tables in them."""
        return "; ".join(dict.fromkeys(f"{m.citation}, {m.table}" for m in self.means if m))


def groups(context: Context) -> list[str]:
    """Return the groups that something is printed of."""
    return list(dict.fromkeys(mean.group for mean in context.means()))


def lines(context: Context) -> list[Line]:
    """Return a line a system and metric, by metric and name."""
    found: dict[tuple[str, str], dict[str, GroupMean]] = {}
    for mean in context.means():
        found.setdefault((mean.metric, mean.system), {})[mean.group] = mean
    columns = groups(context)
    return [
        Line(system, metric, tuple(own.get(group) for group in columns))
        for (metric, system), own in sorted(found.items())
    ]


def few(mean: GroupMean) -> bool:
    """Return whether a group has too few numbers for a mean to be shown."""
    return mean.n is not None and mean.n < MIN_GROUP


def columns(context: Context | None, tasks: Sequence[str]) -> list[table.Extra]:
    """Return a column a published system and metric for the table of tasks; none of many."""
    cells = context.cells(tasks) if context else []
    names = list(cells[0]) if cells else []
    by_task = dict(zip(tasks, cells, strict=True)) if names else {}
    return [_column(name, by_task) for name in names] if len(names) <= COLUMNS else []


def _column(name: str, by_task: Mapping[str, Mapping[str, float | None]]) -> table.Extra:
    system, _, metric = name.rpartition(" ")

    def cell(line: aggregate.Line) -> table.Cell:
        value = by_task[line.row.task][name]
        if value is None:
            return table.Cell("not printed", absent=True)
        return table.Cell(f"{value:.2f}", value)

    return table.Extra(table.Column(system, f"{metric}, not tested"), cell)
