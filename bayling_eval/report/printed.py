"""What papers print, laid out for the page: a line a system and metric, a column a group."""

from dataclasses import dataclass

from bayling_eval.macro import MIN_GROUP
from bayling_eval.published import Context, GroupMean


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
