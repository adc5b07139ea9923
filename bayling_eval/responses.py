"""The response log: append-only JSON lines with checksums; only these files are precious."""

import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bayling_eval import store
from bayling_eval.errors import RuntimeFault, UserError
from bayling_eval.provenance import digest
from bayling_eval.records import SCHEMA_VERSION, Response

_HEADER = f'{{"schema_version":{SCHEMA_VERSION},"kind":"responses"}}\n'
_MARK = ',"crc32":"'


@dataclass(frozen=True)
class Log:
    """What a folder of response files holds."""

    answers: dict[str, Response]
    """The last good record of each request."""
    bad: tuple[str, ...]
    """``file:line`` of each record that is torn or fails its checksum; they count as missing."""


def request_id(
    task: str,
    doc_id: int,
    content: Any,
    kind: str = "generate_until",
    template: str | None = None,
    *,
    fewshot: tuple[int, ...] = (),
) -> str:
    """Return the identity of a request, which no model is needed to know.

    ``content`` is what of the document is asked (a translation's source segment), ``template`` the
    text of the prompt template, null for imported outputs, ``fewshot`` the ids of the examples.
    """
    choice = occurrence = 0
    return digest([task, doc_id, content, kind, template, list(fewshot), choice, occurrence])[:32]


def encode(response: Response) -> str:
    """Return one line of the log."""
    text = json.dumps(response.model_dump(), ensure_ascii=True, separators=(",", ":"))[:-1]
    return f'{text}{_MARK}{zlib.crc32(text.encode()):08x}"}}\n'


def decode(line: bytes) -> Response | None:
    """Read one line of the log; none where it is torn or its checksum is wrong."""
    text, mark, rest = line.rpartition(_MARK.encode())
    if not mark or rest != b'%08x"}\n' % zlib.crc32(text):
        return None
    try:
        return Response.model_validate(json.loads(text + b"}"))
    except ValueError:  # ValidationError and JSONDecodeError
        return None


def read(folder: Path) -> Log:
    """Read all response files of a cell; a later record of a request replaces an earlier one.

    Raises:
        UserError: a file was written by a newer version.
    """
    answers: dict[str, Response] = {}
    bad: list[str] = []
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1 and _is_header(path, line):
                    continue
                response = decode(line)
                if response is None:
                    bad.append(f"{path}:{number}")
                else:
                    answers[response.request_id] = response
    return Log(answers, tuple(bad))


def append(path: Path, responses: Iterable[Response]) -> None:
    """Append records and flush them to the disk; a torn last line is cut off first.

    Raises:
        UserError: another process writes to the file.
        RuntimeFault: the disk is full or fails; what was complete stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            store.lock(file, path)
            _recover(file)
            if file.tell() == 0:
                file.write(_HEADER.encode())
            file.writelines(encode(response).encode() for response in responses)
            file.flush()
            os.fsync(file.fileno())
        store.sync_folder(path.parent)
    except OSError as fault:
        raise RuntimeFault(
            f"{path}: {fault.strerror}: free the disk and run the same again"
        ) from fault


def _is_header(path: Path, line: bytes) -> bool:
    try:
        found = json.loads(line)
    except ValueError:
        return False
    version = found.get("schema_version") if isinstance(found, dict) else None
    if not isinstance(version, int):
        return False
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{path}:1: written by a newer version of bayling_eval: update bayling_eval"
        )
    return True


def _recover(file: IO[bytes]) -> None:
    """Cut off a last line without its line feed: the process died while writing it."""
    end = file.seek(0, os.SEEK_END)
    keep = end
    while keep > 0:
        start = max(0, keep - 65536)
        file.seek(start)
        found = file.read(keep - start).rfind(b"\n")
        if found >= 0:
            keep = start + found + 1
            break
        keep = start
    if keep < end:
        file.truncate(keep)
    file.seek(0, os.SEEK_END)
