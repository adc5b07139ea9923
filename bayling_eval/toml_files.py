"""TOML files that users write: read, checked against a model, and faults named with their line."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from bayling_eval import sources
from bayling_eval.errors import UserError, unknown

M = TypeVar("M", bound=BaseModel)

_HEADER = re.compile(r"\s*(?P<open>\[\[?)\s*(?P<name>[^\[\]]+?)\s*\]\]?\s*(#.*)?")


def read(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UserError: it is no readable UTF-8.
    """
    return "\n".join(sources.read_lines(path))


def parse(model: type[M], path: Path, text: str, **defaults: object) -> M:
    """Return the model that a text describes; ``defaults`` stand in for keys that it leaves out.

    Raises:
        UserError: broken TOML, an unknown key or a wrong value, with ``path:line``.
    """
    try:
        return model.model_validate({**defaults, **tomllib.loads(text)})
    except RecursionError:
        raise UserError(f"{path}: broken TOML: nested too deeply") from None
    except tomllib.TOMLDecodeError as fault:
        line = re.search(r"at line (\d+)", str(fault))
        where = line.group(1) if line else text.count("\n") + 1
        raise UserError(f"{path}:{where}: broken TOML: {fault}") from None
    except ValidationError as fault:
        # A mistyped key is said before the key that is missing for it.
        first = min(fault.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise UserError(_explain(model, path, text, first)) from None


def places(path: Path, text: str, name: str, count: int) -> tuple[str, ...]:
    """Return ``path:line: `` of each of the ``count`` tables ``[[name]]``, for messages."""
    lines = [start for start, _ in _tables(text, name)]
    lines += [0] * count
    return tuple(f"{path}:{line + 1}: " for line in lines[:count])


def _explain(model: type[BaseModel], path: Path, text: str, fault: Any) -> str:
    """Say which line of the text a validation error is about."""
    loc, known = _walk(model, fault["loc"])
    where = ".".join(map(str, loc))
    context = fault.get("ctx", {})
    tag = str(context.get("discriminator", "")).strip("'")
    line = f"{path}:{_line(text, [*loc, tag] if tag else loc) + 1}"
    match fault["type"]:
        case "extra_forbidden":
            return f"{line}: {unknown('key', str(loc[-1]), known)}"
        case "union_tag_invalid":
            tags = re.findall(r"'([^']*)'", context["expected_tags"])
            return f"{line}: {unknown(tag, context['tag'], tags)}"
        case "union_tag_not_found":
            return f"{line}: {where}.{tag}: Field required"
    return f"{line}: {where}: {fault['msg'].removeprefix('Value error, ')}"


def _walk(model: type[BaseModel], loc: Sequence[str | int]) -> tuple[list[str | int], set[str]]:
    """Return a location without the tags of unions, and the keys that are known at its end."""
    at: list[type[BaseModel]] = [model]
    kept: list[str | int] = []
    for part in loc:
        tagged = [one for one in at if len(at) > 1 and _has_tag(one, part)]
        if tagged:
            at = tagged
            continue
        kept.append(part)
        fields = [one.model_fields[part] for one in at if part in one.model_fields]
        if fields:
            at = [found for field in fields for found in _models(field.annotation)]
    return kept, {key for one in at for key in one.model_fields}


def _has_tag(model: type[BaseModel], tag: str | int) -> bool:
    return any(get_args(field.annotation) == (tag,) for field in model.model_fields.values())


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Return the models within a type such as ``tuple[One | Other, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _line(text: str, loc: Sequence[str | int]) -> int:
    """Return the number of the line, from 0, that a location stands on."""
    index = next((part for part in loc if isinstance(part, int)), 0)
    tables = _tables(text, str(loc[0]))
    lines = text.split("\n")
    top = next((n for n, line in enumerate(lines) if _HEADER.fullmatch(line)), len(lines))
    start, end = tables[index] if index < len(tables) else (0, top)
    # A key of an inline table stands on the line of the table's own key.
    for key in (part for part in reversed(loc) if isinstance(part, str)):
        spelled = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
        for number in range(start, end):
            if spelled.match(lines[number]):
                return number
    return start


def _tables(text: str, name: str) -> list[tuple[int, int]]:
    """Return where each ``[[name]]`` or ``[name]`` begins and ends, with the tables within it."""
    lines = text.split("\n")
    found = [(n, m) for n, line in enumerate(lines) if (m := _HEADER.fullmatch(line))]
    own = [n for n, m in found if m["name"].split(".")[0] == name]
    starts = [n for n, m in found if m["name"] == name] or own[:1]
    others = [n for n, m in found if m["name"] == name or m["name"].split(".")[0] != name]
    return [(n, next((other for other in others if other > n), len(lines))) for n in starts]
