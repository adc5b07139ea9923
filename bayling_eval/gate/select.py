"""Which rows a gate is about; a gate that would check nothing is refused."""

import fnmatch
from collections.abc import Sequence
from typing import TypeVar

from bayling_eval import languages
from bayling_eval.errors import UserError, unknown
from bayling_eval.gate.rules import Selecting
from bayling_eval.gate.words import known
from bayling_eval.macro import group_of
from bayling_eval.records import Comparison, PlannedTask

Row = TypeVar("Row", Comparison, PlannedTask)


def select(gate: Selecting, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that a gate selects of those of its metric, in their order.

    Raises:
        UserError: a selector names what is not there, or all together select nothing.
    """
    if not rows:
        what = "" if gate.rule == "same" else f" that {gate.metric} could judge"
        raise UserError(f"nothing to check: neither system planned a task{what}")
    chosen = list(rows)
    if gate.family is not None:
        _one_of("family", gate.family, {row.family for row in rows})
        chosen = [row for row in chosen if row.family == gate.family]
    if gate.side is not None:
        _one_of("side", gate.side, {_side(row) for row in rows if row.tgt_lang})
        chosen = [row for row in chosen if row.tgt_lang and _side(row) == gate.side]
    if gate.tasks is not None:
        names = {row.task for row in rows}
        if not fnmatch.filter(names, gate.tasks):
            raise _absent("task", gate.tasks, names)
        chosen = [row for row in chosen if fnmatch.fnmatchcase(row.task, gate.tasks)]
    if gate.languages is not None:
        chosen = _of_languages(gate.languages, chosen)
    if not chosen:
        names = {row.task for row in rows}
        raise UserError(f"its selectors leave no task; there are {known(names, 6)}")
    return chosen


def _one_of(kind: str, asked: str, have: set[str]) -> None:
    if asked not in have:
        raise _absent(kind, asked, have)


def _absent(kind: str, asked: str, have: set[str]) -> UserError:
    """Suggest what is near, and name what there is."""
    said = str(unknown(kind, asked, have))
    return UserError(said if "Known: " in said else f"{said} There are {known(have)}.")


def _side(row: Comparison | PlannedTask) -> str:
    return group_of(row.src_lang, row.tgt_lang)


def _of_languages(spec: str, rows: Sequence[Row]) -> list[Row]:
    """Return the rows with one of the languages; each item of the list must be of use."""
    wanted: set[str] = set()
    have = {lang for row in rows for lang in _langs(row)}
    for item in filter(None, (part.strip() for part in spec.split(","))):
        keys = _keys(item, rows)
        if not keys & have:
            raise UserError(
                f"languages: {item!r} selects no task, so nothing would protect it; "
                f"there are {known(have)}"
            )
        wanted |= keys
    return [row for row in rows if wanted & _langs(row)]


def _keys(item: str, rows: Sequence[Row]) -> set[str]:
    """Return the keys that a code or set means in at least one of the rows' families."""
    found: set[str] = set()
    fault = None
    for family in sorted({row.family for row in rows}):
        try:
            found |= set(languages.expand(item, family))
        except UserError as refused:
            fault = refused
    # A family of the user's own is in no table of spellings: there a key is a key.
    found |= {item} & languages.table().keys()
    if not found and fault:
        raise UserError(f"languages: {fault}")
    return found


def _langs(row: Comparison | PlannedTask) -> set[str]:
    return {lang for lang in (row.src_lang, row.tgt_lang, row.lang) if lang}
