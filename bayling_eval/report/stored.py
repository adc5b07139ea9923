"""What a system's folder or file has of each task: texts, and statistics of each segment."""

import numpy as np

from bayling_eval import metrics, store
from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec
from bayling_eval.store import Cell, System
from bayling_eval.subsets import Subset
from bayling_eval.tables import Floats, Sample, SamplesReader, StatisticsReader, Stored


class Side:
    """One system's texts and statistics, read task by task as they are asked for."""

    def __init__(self, system: System) -> None:
        """Find the files of each task.

        Raises:
            UserError: a file is damaged.
        """
        self._name = system.name
        self._statistics: dict[str, StatisticsReader] = {}
        self._texts: dict[str, SamplesReader] = {}
        self._last: tuple[str, list[Stored]] = ("", [])
        self.without: str | None = None
        """Why there are no texts at all."""
        for cell in system.cells():
            # What is not compared is not shown.
            if not Subset.parse(cell.selection).partial and (manifest := cell.manifest()):
                self._open(cell, [t for t in manifest.tasks if t not in self._texts])

    def _open(self, cell: Cell, tasks: list[str]) -> None:
        if not tasks:
            return
        if not (cell.folder / store.SAMPLES).is_file():
            self.without = (
                f"{self._name} has no texts here (an exported file holds them only if it was made "
                "with --with-text)"
            )
            return
        # Kept open: a zip file would be unpacked again for each direction.
        texts = SamplesReader(cell.verified(store.SAMPLES))
        statistics = StatisticsReader(cell.verified(store.STATISTICS))
        self._statistics |= dict.fromkeys(tasks, statistics)
        self._texts |= dict.fromkeys(tasks, texts)

    def signatures(self, task: str, metric: str) -> list[str]:
        """Return under which signatures the task's segments have statistics of a metric."""
        return [entry.signature for entry in self._of(task) if entry.metric == metric]

    def scores(self, task: str, metric: str, signature: str) -> Floats:
        """Return the score of each segment."""
        found = (e for e in self._of(task) if (e.metric, e.signature) == (metric, signature))
        entry = next(found)
        values = metrics.make(MetricSpec.parse(entry.spec)).aggregate(entry.values)
        return np.asarray(values, dtype=np.float64)

    def judged(self, task: str, metric: str) -> Floats | None:
        """Return a rate's statistics of each segment of the outputs as they are; none if not so."""
        own = (entry for entry in self._of(task) if entry.metric == metric)
        return next((entry.values for entry in own if "|post:" not in entry.signature), None)

    def samples(self, task: str) -> list[Sample]:
        """Return the texts of each segment.

        Raises:
            UserError: there are statistics of another number of segments.
        """
        found = self._texts[task].samples(task)
        if {len(entry.values) for entry in self._of(task)} != {len(found)}:
            raise UserError(
                f"{self._name}: {task}: texts and statistics have different numbers of segments: "
                "run `bayling-eval score` again"
            )
        return found

    def _of(self, task: str) -> list[Stored]:
        if self._last[0] != task:
            reader = self._statistics.get(task)
            self._last = (task, reader.of(task) if reader else [])
        return self._last[1]
