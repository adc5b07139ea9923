"""What every check gives and what it is told, and that a fault of one is a row."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bayling_eval import run
from bayling_eval.backends.devices import Device
from bayling_eval.errors import BaylingError
from bayling_eval.models import Wanted
from bayling_eval.plan import Selection

# What a broken installation, disk or checkpoint raises; anything else is a bug.
_FAULTS = (
    BaylingError,
    ImportError,
    AttributeError,
    OSError,
    RuntimeError,
    ValueError,
    MemoryError,
)


@dataclass(frozen=True)
class Row:
    """One check."""

    check: str
    """What was looked at."""
    status: Literal["ok", "missing", "warning", "not_needed"]
    """``missing`` alone keeps a run from starting."""
    found: str
    """What there is."""
    do: str = ""
    """What to do; empty where that is nothing."""


@dataclass(frozen=True)
class Ask:
    """What the user is about to run."""

    models: tuple[Wanted, ...] = ()
    """Models of the run."""
    backend: str = "transformers"
    """Engine to check where there is no model."""
    selection: Selection | None = None
    """Tasks of the run; without them neither data nor disk are looked at."""
    suite: str = "SUITE"
    """Name of the suite, for what to do."""
    order: run.Order | None = None
    """Folders, examples and limit of the run."""
    refused: Mapping[str, str] | None = None
    """What could not even be read of the command line and the suite, by check."""
    verify: bool = False
    """Whether the weights are hashed anew."""
    devices: Sequence[Device] | None = None
    """Devices to reckon with; null for those of this machine."""


Check = Callable[[], Iterable[Row]]


def ready(rows: Iterable[Row]) -> bool:
    """Return whether a run could start without a network."""
    return not any(row.status == "missing" for row in rows)


def survived(name: str, check: Check) -> list[Row]:
    """Return the rows of a check, and what it raised as one more, under the name given."""
    rows: list[Row] = []
    try:
        rows.extend(check())
    except _FAULTS as fault:
        line = " ".join(str(fault).split()) or type(fault).__name__
        if isinstance(fault, BaylingError):
            rows.append(Row(name, "missing", "cannot be used", line))
        else:
            do = "mend the installation or the disk, and ask again"
            rows.append(Row(name, "missing", f"{type(fault).__name__}: {line}", do))
    return rows
