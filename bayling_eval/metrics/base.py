"""What a metric is: per-segment sufficient statistics, and a formula over their sum.

Everything after scoring (intervals, paired tests, comparing without the texts) needs only the
statistics, so one mechanism serves BLEU, chrF, rates and accuracies alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bayling_eval.errors import UserError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Segments:
    """The texts of one direction; all columns have the same length."""

    tgt_lang: str
    """Key of the target language; empty where nothing is translated."""
    hypotheses: Sequence[str]
    """Outputs of the system; an empty string is an empty output."""
    references: Mapping[str, Sequence[str]]
    """Reference segments by name; at least one."""
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """lm-eval's per-sample metrics by ``metric`` or ``metric:filter=NAME``."""
    src_lang: str = ""
    """Key of the source language; empty where nothing is translated."""
    sources: Sequence[str] = ()
    """Source texts; empty where they are not known."""
    raw: Sequence[str] = ()
    """Outputs as the system gave them, line feeds and all; empty where they are not known."""
    finish_reasons: Sequence[str | None] = ()
    """Why each output ended: ``stop``, ``length``, null where unknown; empty where all are."""
    gold: Sequence[tuple[float, int] | None] = ()
    """Log-likelihood of the right answer in nats, and its bytes in UTF-8; null where a document has
    none, empty where the task asks for no log-likelihoods."""
    choices: Sequence[int] = ()
    """Number of choices of each question; 0 or empty where the task has none."""


@dataclass(frozen=True)
class Statistics:
    """Sufficient statistics of one direction under one metric."""

    values: Floats
    """One row a segment, one column a statistic; sums over rows are what the formula needs."""
    signature: str
    """What exactly was computed, in sacrebleu's notation."""


def named_references(names: Sequence[str]) -> str:
    """Return ``|refs:A,B`` for a signature; nothing where the benchmark names no reference."""
    return "" if list(names) == ["ref"] else f"|refs:{','.join(names)}"


class Metric(Protocol):
    """One metric, set up with the user's options."""

    name: str
    higher_is_better: bool | None
    of_texts: bool
    """Whether it judges translations; else it takes lm-eval's per-sample values of other tasks."""
    together: bool
    """Whether one engine judges all tasks of a cell (:class:`Together`), not process by process."""

    def not_covered(self, src_lang: str, tgt_lang: str) -> str | None:
        """Say why the metric means nothing for these languages; none where it does."""
        ...

    def signature(self, tgt_lang: str, references: Sequence[str]) -> str:
        """Say in sacrebleu's notation what is computed for a target and names of references."""
        ...

    def statistics(self, segments: Segments) -> Statistics:
        """Extract the sufficient statistics of each segment."""
        ...

    def aggregate(self, sums: Floats) -> Floats:
        """Turn summed statistics, shape (..., k), into scores, shape (...)."""
        ...


class Together(Metric, Protocol):
    """A metric with an engine of its own, which is started once for many tasks."""

    def statistics_of(
        self, tasks: Sequence[Segments], progress: Callable[[str], None]
    ) -> Iterator[Statistics]:
        """Extract the statistics of each task, in order; ``progress`` hears how far it is."""
        ...


@runtime_checkable
class OfFile(Protocol):
    """What a metric has more that counts with a file from outside the package."""

    def ready(self) -> Path:
        """Load the file, and return where it lies.

        Raises:
            UserError: it is missing, or not what it should be.
        """
        ...

    def pinned(self) -> "MetricSpec":
        """Return the metric as it is stored: which file is meant, but not where it lies."""
        ...

    def stands(self, signature: str) -> bool:
        """Return whether statistics of this signature are what the file as it is now would give."""
        ...


@dataclass(frozen=True)
class MetricSpec:
    """A metric as written on the command line: ``bleu:tokenize=char``, ``mine.py:Mine``."""

    name: str
    """Name in the registry, or ``FILE.py:CLASS`` for a metric of the user's own."""
    options: tuple[tuple[str, str], ...] = ()
    """Options in the order written."""

    @classmethod
    def parse(cls, text: str) -> "MetricSpec":
        """Read ``name`` or ``name:option=value,option=value``.

        Raises:
            UserError: an option is not of the form ``option=value`` or stands there twice; a file
                without a class.
        """
        name, _, rest = text.partition(":")
        if name.endswith(".py"):
            attribute, _, rest = rest.partition(":")
            if not attribute:
                raise UserError(f"metric {text!r}: no class of the file: write {name}:CLASS")
            # One file in two spellings would be two metrics.
            name = f"{PurePath(name).as_posix()}:{attribute}"
        options = []
        for part in filter(None, rest.split(",")):
            key, equals, value = part.partition("=")
            if not equals or not key or not value:
                raise UserError(
                    f"metric {text!r}: {part!r} is not option=value; "
                    "write for example bleu:tokenize=char"
                )
            options.append((key, value))
        if len(dict(options)) < len(options):
            raise UserError(f"metric {text!r}: an option stands there twice")
        return cls(name, tuple(options))

    @property
    def file(self) -> Path | None:
        """Return the file of a user's own metric, whose code it runs; none for ours."""
        path, colon, _ = self.name.rpartition(".py:")
        return Path(f"{path}.py") if colon else None

    def __str__(self) -> str:
        written = ",".join(f"{key}={value}" for key, value in self.options)
        return f"{self.name}:{written}" if written else self.name
