"""Faults that end a command: one line on stderr, one exit code, no traceback.

::

    BaylingError                exit
    ├── UserError               2     usage, configuration or input; found first, nothing changed
    ├── IncompleteError         3     cells that a system planned are not finished
    ├── IncomparableError       4     nothing is left that may be compared
    └── RuntimeFault            5     engine, memory or disk failed after work began

Anything else that escapes is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable

FAULTS_OF_CODE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a mistake in code of a user's own raises: it is told in one line that names the file."""


class BaylingError(Exception):
    """Base of all faults; the message says what is wrong, where, and what to do."""

    exit_code = 5


class UserError(BaylingError):
    """A fault that the user can mend; nothing was changed."""

    exit_code = 2


class IncompleteError(BaylingError):
    """Cells that a system planned are not finished."""

    exit_code = 3


class IncomparableError(BaylingError):
    """Nothing is left that may be compared."""

    exit_code = 4


class RuntimeFault(BaylingError):
    """Something failed after work had begun."""

    exit_code = 5


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> UserError:
    """Build the error for an unknown name: the nearest known ones, or the whole short list.

    ``hint`` is the command that lists the rest, without the full stop.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if not near:
        # Capitals count like any other letter: nllb-200 is near nothing in NLLB-200 but its digits.
        folded = {known_name.casefold(): known_name for known_name in names}
        found = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
        near = [folded[key] for key in found]
    shown = name if len(name) <= 100 else f"{name[:100]}…"
    text = f"unknown {kind} {shown!r}."
    if near:
        text += f" Did you mean {' or '.join(repr(n) for n in near)}?"
    elif 0 < len(names) <= 12:
        text += f" Known: {', '.join(names)}."
    if hint:
        text += f" {hint}."
    return UserError(text)
