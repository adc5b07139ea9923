"""Look-up of names in dict literals of lazy ``module:attribute`` strings."""

import importlib
from collections.abc import Mapping
from typing import Any

from bayling_eval.errors import unknown


def load(kind: str, name: str, table: Mapping[str, str], hint: str = "") -> Any:
    """Import what ``table`` says of ``name``; an unknown name is an error with suggestions."""
    if name not in table:
        raise unknown(kind, name, table, hint)
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
