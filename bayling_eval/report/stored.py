"""What a system's folder or file has of each task: texts, and statistics of each segment."""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from bayling_eval import metrics, store, tables
from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec
from bayling_eval.store import Cell, System
from bayling_eval.subsets import Subset
from bayling_eval.tables import Floats, Sample, StatisticsReader, Stored


class Side:
    """One system's texts and statistics, read task by task as they are asked for."""

    def __init__(self, system: System, stack: ExitStack) -> None:
        """Find the files of each task; what is unpacked for it goes with ``stack``.

        Raises:
            UserError: a file is damaged.
        """
        self._name = system.name
        self._readers: dict[str, StatisticsReader] = {}
        self._paths: dict[str, Path] = {}
        self._last: tuple[str, list[Stored]] = ("", [])
        self.without: str | None = None
        """Why there are no texts at all."""
        for cell in system.cells():
            # What is not compared is not shown.
            if not Subset.parse(cell.selection).partial and (manifest := cell.manifest()):
                self._open(cell, [t for t in manifest.tasks if t not in self._paths], stack)

    def _open(self, cell: Cell, tasks: list[str], stack: ExitStack) -> None:
        if not tasks:
            return
        if not (cell.folder / store.SAMPLES).is_file():
            self.without = (
                f"{self._name} has no texts here (an exported file holds them only if it was made "
                "with --with-text)"
            )
            return
        texts = cell.verified(store.SAMPLES)
        if not isinstance(texts, Path):
            # A zip file would be unpacked again for each direction.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            with texts.open("rb") as packed, (folder / store.SAMPLES).open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
            texts = folder / store.SAMPLES
        statistics = StatisticsReader(cell.verified(store.STATISTICS))
        self._readers |= dict.fromkeys(tasks, statistics)
        self._paths |= dict.fromkeys(tasks, texts)

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
        found = tables.read_samples(self._paths[task], task)
        if {len(entry.values) for entry in self._of(task)} != {len(found)}:
            raise UserError(
                f"{self._name}: {task}: texts and statistics have different numbers of segments: "
                "run `bayling-eval score` again"
            )
        return found

    def _of(self, task: str) -> list[Stored]:
        if self._last[0] != task:
            reader = self._readers.get(task)
            self._last = (task, reader.of(task) if reader else [])
        return self._last[1]
