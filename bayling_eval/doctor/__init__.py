"""What is missing for a run, before a GPU is reserved: one row a check, and no network."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bayling_eval.doctor import data, machine, model
from bayling_eval.doctor.base import Ask, Check, Row, ready, survived

__all__ = ["Ask", "Row", "examine", "ready"]


def examine(ask: Ask, progress: Callable[[str], None]) -> list[Row]:
    """Make every check; what one of them raises is its row, and the next one is made."""
    rows = [Row(name, "missing", "refused", line) for name, line in (ask.refused or {}).items()]
    for name, check in _checks(ask, rows, progress):
        progress(name)
        rows += survived(name, check)
    return rows


def _checks(
    ask: Ask, rows: Sequence[Row], progress: Callable[[str], None]
) -> Iterator[tuple[str, Check]]:
    yield "packages", partial(machine.check_packages, ask)
    found = list(ask.devices or ())
    if ask.devices is None:
        yield "GPUs", partial(machine.read_devices, ask, found)
    yield "devices", partial(machine.check_devices, ask, found)
    planned: model.Planned = []
    for wanted in ask.models:
        check = partial(model.check_model, ask, wanted, found, planned)
        yield f"checkpoint {model.name_of(wanted)}", check
    yield "models", partial(model.check_names, planned)
    if ask.selection is not None and ask.order is not None:
        for family in dict.fromkeys(task.family for task in ask.selection.tasks):
            check = partial(data.check_data, ask, family, ask.selection, ask.order.data)
            yield f"data {family}", check
        yield "data of prompt sets", partial(data.check_examples, ask, ask.selection, ask.order)
        yield "disk", partial(data.check_disk, ask, ask.selection, ask.order, progress, rows)
    yield "comet", machine.check_comet
