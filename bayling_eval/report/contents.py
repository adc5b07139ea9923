"""What a report is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayling_eval import metrics, sources
from bayling_eval.aggregate import Line
from bayling_eval.compare import Comparisons
from bayling_eval.gate.outcomes import Judgement
from bayling_eval.method import Method
from bayling_eval.published import Context
from bayling_eval.report import view
from bayling_eval.report.ranks import Rank, ranks
from bayling_eval.report.texts import ids
from bayling_eval.store import System

if TYPE_CHECKING:
    from bayling_eval.report.figures.svg import Figure
    from bayling_eval.report.history import History
    from bayling_eval.report.releases import Loaded
    from bayling_eval.report.samples import Samples


@dataclass(frozen=True)
class Report:
    """What a report is made of."""

    name: str
    """Name of the report."""
    found: tuple[Comparisons, ...]
    """The candidate against each baseline, the deciding one first."""
    method: Method
    """How they were compared."""
    command: str
    """Command line that makes the report again."""
    by: tuple[str, ...] = ()
    """Groupings that were asked for: their averages stand in the overview too."""
    judged: Judgement | None = None
    """What the gates say of the candidate against the deciding baseline; none without rules."""
    published: Context | None = None
    """What papers print of the same tasks; none where nobody asked."""
    history: tuple["Loaded", ...] = ()
    """Earlier releases, the oldest first."""
    single_file: bool = False
    """Whether all samples have to be on the page itself, as far as they fit."""

    latex: str = ""
    """The comparisons as tables for a paper; empty where nobody made them."""
    pdf: bool = False
    """Whether a brief is written too."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that were compared; the headline alone where there is nothing to compare."""
        found = dict.fromkeys(row.metric for pair in self.found for row in pair.rows)
        return tuple(found) or (metrics.HEADLINE,)

    @property
    def headline(self) -> str:
        """Metric that the headline and the per-direction table are about."""
        return metrics.HEADLINE if metrics.HEADLINE in self.metrics else self.metrics[0]

    @property
    def tables(self) -> tuple[str, ...]:
        """Metrics with a table of their own: the headline, and one of the other kind of task."""
        other = (name for name in self.metrics if view.noun(name) != view.noun(self.headline))
        return (self.headline, *([first] if (first := next(other, None)) else []))

    @property
    def systems(self) -> tuple[System, ...]:
        """The candidate, then each baseline."""
        return (self.found[0].candidate, *(pair.baseline for pair in self.found))

    @property
    def names(self) -> tuple[str, ...]:
        """What the systems are called: the name, or the label where two have the same name."""
        own = [system.name for system in self.systems]
        return tuple(s.label if own.count(s.name) > 1 else s.name for s in self.systems)

    @property
    def row_ids(self) -> Mapping[str, str]:
        """The anchor of each task's row on the page."""
        tasks = dict.fromkeys(row.task for row in self.found[0].rows)
        return dict(zip(tasks, ids("dir", tasks), strict=True))


@dataclass(frozen=True)
class Contents:
    """A report with everything that its page shows."""

    report: Report
    lines: Mapping[str, Sequence[Line]]
    """Lines of each table, by metric."""
    shown: "Samples"
    """Segments with their texts."""
    told: Mapping[str, Any]
    """Where the numbers come from."""
    figures: Mapping[str, "Sequence[Figure]"]
    """Figures by section."""
    history: "History | None" = None
    """Earlier releases; none where none was given."""

    @property
    def notices(self) -> list[str]:
        """What must be known first of the benchmarks."""
        return sources.notices(line.row.family for own in self.lines.values() for line in own)

    @property
    def ranked(self) -> list[Rank]:
        """Ranks of the systems in the headline metric; none where they are few."""
        report = self.report
        effect = report.method.minimum_effect(report.headline)
        return ranks(self.lines[report.headline], report.names, effect)
