"""Which of a benchmark's references are meant: ``A``, ``A,B``, or ``cs-en=B`` for one pair."""

from collections.abc import Iterable, Sequence

from bayling_eval import tasks
from bayling_eval.errors import UserError
from bayling_eval.records import PlannedTask


def asked(task: PlannedTask, texts: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names that the user asked for; the last text that fits the task wins.

    Raises:
        UserError: a text names a pair that the task's family does not have.
    """
    found = None
    for text in texts:
        pair, equals, names = text.rpartition("=")
        if not equals or tasks.find(f"{task.family}_{pair}").name == task.task:
            found = tuple(sorted(set(names.split(","))))
    return found


def choose(task: PlannedTask, have: Iterable[str], texts: Sequence[str]) -> tuple[str, ...]:
    """Return the references of a task to score against: all that it has unless the user chose.

    Raises:
        UserError: the task has no such reference.
    """
    names = tuple(have)
    if names == ("ref",):
        return names
    chosen = asked(task, texts) or tuple(sorted(names))
    for name in chosen:
        if name not in names:
            raise UserError(
                f"{task.task} has no reference {name!r}, it has {', '.join(names)}: add "
                f"--references {task.src_lang}-{task.tgt_lang}={names[0]}, with --reset if it was "
                "scored against another before"
            )
    return chosen
