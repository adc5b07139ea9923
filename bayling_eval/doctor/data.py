"""Whether the data of a run are there, and whether the disk holds its response log."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bayling_eval import checkpoints, hub, inventory, memory, models, provenance, run, sources
from bayling_eval.doctor.base import Ask, Row, ready
from bayling_eval.errors import BaylingError
from bayling_eval.forecast import forecast
from bayling_eval.models import Model
from bayling_eval.plan import Selection


def check_data(ask: Ask, family: str, selection: Selection, data: Path | None) -> Iterator[Row]:
    """Look for the files of one family's tasks, in the data folder or the cache of datasets."""
    tasks = [task for task in selection.tasks if task.family == family]
    check = f"data {family}"
    if family not in sources.SPLITS:
        yield Row(check, "warning", "tasks of your own load their data themselves: not checked")
    elif data is None and family not in sources.BUNDLED:
        yield _cached(check, inventory.parts(tasks), f"bayling-eval data pull {ask.suite}")
    else:
        yield _files(check, inventory.inventory(tasks, data), family, data)


def check_examples(ask: Ask, selection: Selection, order: run.Order) -> Iterator[Row]:
    """Look for what examples are drawn from, for the wording that each model is asked in."""
    named = {words.name: words for words in map(models.prompt_set, ask.models) if words}
    for words in named.values():
        check, tasks = f"data of prompt set {words.name}", run.showing(words, selection, order)
        if not tasks:
            continue
        if order.data is None:
            do = f"bayling-eval data pull {ask.suite} --prompt-set {words.name}"
            yield _cached(check, inventory.example_parts(tasks), do)
        else:
            found = inventory.examples(tasks, order.data, words)
            yield _files(check, found, sources.DEV_FAMILY, order.data)


def _cached(check: str, needed: Sequence[inventory.Part], do: str) -> Row:
    missing, family = inventory.uncached(needed), needed[0].family
    if not missing:
        return Row(check, "ok", f"{len(needed)} parts in the cache of datasets")
    if family not in hub.SETS:
        do = f"get it from {inventory.home(family)}, and give its folder with --data"
    lacking = f"{len(missing)} of {len(needed)} parts not in the cache of datasets"
    return Row(check, "missing", f"no data folder, and {lacking}", do)


def _files(check: str, found: inventory.Inventory, family: str, data: Path | None) -> Row:
    if found.faults:
        more = f" (and {len(found.faults) - 1} more)" if len(found.faults) > 1 else ""
        do = f"{found.faults[0]}{more}; published at {inventory.home(family)}"
        return Row(check, "missing", f"{len(found.faults)} faults", do)
    digest = provenance.digest([(file.path, file.sha256) for file in found.files])[:12]
    return Row(
        check, "ok", f"{len(found.files)} files, digest {digest}, in {data or 'the package'}"
    )


def check_disk(
    ask: Ask,
    selection: Selection,
    order: run.Order,
    progress: Callable[[str], None],
    rows: Sequence[Row],
) -> Iterator[Row]:
    """Hold what the response log will take at most against what is free.

    ``rows`` are those of the checks before: where one is missing, that prompts cannot be rendered
    is no news.
    """
    with checkpoints.offline(), hub.offline():
        try:
            cells = forecast([Model(one) for one in ask.models], selection, order, progress)
        except BaylingError:
            if ready(rows):
                raise
            cells = []
    if not cells:
        do = "mend what is missing, and ask again"
        yield Row("disk", "warning", "prompts cannot be rendered yet", do)
        return
    asked = sum(cell.disk_bytes for cell in cells)
    place = next(p for p in (order.results, *order.results.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(place).free
    found = f"{memory.gib(asked)} GiB at most, {memory.gib(free)} GiB free in {place}"
    if asked > free:
        yield Row("disk", "missing", found, "free some, or name another disk with --results")
    else:
        yield Row("disk", "ok", found)
