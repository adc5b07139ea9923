"""Rows of scores as they stand: what is planned has a row, whether or not it has a value."""

from bayling_eval.records import PlannedTask, Score, Status
from bayling_eval.store import Cell

_NO_VALUE = dict.fromkeys(("value", "stderr", "ci_low", "ci_high"))


def status_rows(cell: Cell) -> list[Score]:
    """Return the score rows of a cell; planned tasks without a score have one saying so."""
    manifest, plan = cell.manifest(), cell.plan()
    scored = manifest.tasks if manifest else {}
    again = f"run `bayling-eval score {cell.system.name}`"
    rows = []
    for row in cell.scores():
        planned = plan.tasks.get(row.task)
        if planned and planned.answers_digest == scored[row.task].answers_digest:
            rows.append(row)
        else:
            update = {**_NO_VALUE, "status": "stale", "reason": f"outputs changed: {again}"}
            rows.append(row.model_copy(update=update))
    shown = {row.task for row in rows}
    for name, planned in plan.tasks.items():
        if name not in shown:
            update = {"n_unscored": planned.n, "reason": f"not scored yet: {again}"}
            rows.append(blank(cell, planned, "unscored").model_copy(update=update))
    return rows


def blank(cell: Cell, planned: PlannedTask, status: Status) -> Score:
    """Return a row of a planned task without metric and value."""
    model = cell.system.model
    about = planned.model_dump(include={"task", "family", "src_lang", "tgt_lang", "lang", "n"})
    return Score(
        system=model.name,
        model=model.model8,
        settings=cell.settings8,
        series=model.series,
        step=model.step,
        **about,
        selection=cell.selection,
        num_fewshot=cell.settings.num_fewshot,
        metric=None,
        signature=None,
        value=None,
        higher_is_better=None,
        documents_digest=None,
        settings_digest=cell.settings_file.digest,
        status=status,
    )
