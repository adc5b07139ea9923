"""The arguments of each backend, checked before anything heavy is imported."""

from collections.abc import Callable, Mapping
from typing import Any

from bayling_eval.backends.base import BackendSpec
from bayling_eval.errors import UserError, unknown

_Rule = tuple[str, Callable[[Any], bool]]


def _count(value: Any, least: int = 1) -> bool:
    return type(value) is int and value >= least  # not isinstance: True is an int


_COUNT: _Rule = ("a whole number above 0", _count)
_BOOL: _Rule = ("true or false", lambda value: isinstance(value, bool))
_RULES: Mapping[str, Mapping[str, _Rule]] = {
    "transformers": {
        "device": ("a device such as cpu, cuda or cuda:1", lambda v: isinstance(v, str)),
        "batch_tokens": _COUNT,
        "max_length": _COUNT,
        "add_bos_token": _BOOL,
        "prefix_token_id": ("the number of a token", lambda value: _count(value, 0)),
        "trust_remote_code": _BOOL,
        "attn_implementation": ("a name such as sdpa or eager", lambda v: isinstance(v, str)),
    },
    "echo": {
        "trace": ("the path of a file", lambda value: isinstance(value, str)),
        # Comparing leaves out what is not a number.
        "delay": ("seconds, an hour at most", lambda v: type(v) in (int, float) and 0 <= v <= 3600),
    },
}


def check(spec: BackendSpec) -> None:
    """Check names and types of a backend's arguments.

    Raises:
        UserError: an unknown argument or a wrong value.
    """
    rules = _RULES[spec.backend]
    for name, value in spec.model_args.items():
        if name not in rules:
            raise unknown(f"model argument of {spec.backend}", name, rules)
        wanted, is_right = rules[name]
        if not is_right(value):
            raise UserError(f"model argument {name} is {value!r}: it has to be {wanted}")
