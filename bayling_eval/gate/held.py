"""What rules are held against: a comparison, and both sides' own scores and settings."""

import functools
from collections.abc import Mapping, Sequence

from bayling_eval import sides
from bayling_eval.compare import Comparisons
from bayling_eval.gate.rules import Rules, made
from bayling_eval.gate.words import number
from bayling_eval.metrics import Metric, MetricSpec
from bayling_eval.records import Comparison, PlannedTask, Score
from bayling_eval.sides import Side


class Held:
    """A comparison, asked by rules; files are read when a rule needs them."""

    def __init__(self, rules: Rules, pair: Comparisons, references: Sequence[str]) -> None:
        """Set up; ``references`` as they were given to ``compare``."""
        self.pair = pair
        self._references = references
        self.metrics: Mapping[str, Metric] = made(rules)
        """The metrics that rules name, by what was written."""
        self.families = len({row.family for row in pair.rows})
        """Families that are compared."""

    @functools.cached_property
    def sides(self) -> list[tuple[Side, Side]]:
        """Both sides of each family and selection."""
        found = (self.pair.candidate, self.pair.baseline)
        return sides.pairs(*found, self.metrics, self._references)

    def rows(self, written: str) -> list[Comparison]:
        """Return the rows of a metric, worst first."""
        name = MetricSpec.parse(written).name
        return [row for row in self.pair.rows if row.metric == name]

    @property
    def planned(self) -> list[PlannedTask]:
        """Every task that a side planned, whatever the metrics."""
        found = {}
        for ours, theirs in self.sides:
            found.update({**theirs.planned, **ours.planned})
        return list(found.values())

    def tests(self, row: Comparison) -> int:
        """Return how many tests a row's p-value was corrected for."""
        own = (one for one in self.pair.rows if one.metric == row.metric)
        return sum(one.p_value is not None for one in own)

    def up(self, written: str) -> bool:
        """Return whether higher is better."""
        return self.metrics[written].higher_is_better is True

    def score(self, row: Comparison, written: str) -> Score | None:
        """Return the candidate's own score of a row, whether or not it could be compared."""
        found = [
            score
            for ours, _ in self.sides
            for score in ours.scores.get((row.task, written), {}).values()
        ]
        compared = (row.signature, number(row.candidate_value))
        same = [one for one in found if (one.signature, one.value) == compared]
        return next(iter(same or found), None)

    def lacking(self, row: Comparison) -> str:
        """Say why the candidate has no score of a row."""
        for ours, _ in self.sides:
            if row.task in ours.planned:
                why = ours.reasons.get(row.task) or ours.partial.get(row.task)
                return why or f"no {row.metric} score"
        return f"{self.pair.candidate.name} has no outputs for it"
