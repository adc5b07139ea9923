"""The response log: append-only JSON lines with checksums; only these files are precious."""

import json
import os
import re
import weakref
import zlib
from binascii import unhexlify
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from bayling_eval import store
from bayling_eval.errors import RuntimeFault, UserError
from bayling_eval.provenance import digest
from bayling_eval.records import SCHEMA_VERSION, Response

_HEADER = f'{{"schema_version":{SCHEMA_VERSION},"kind":"responses"}}\n'
_CHECKSUM = b',"crc32":"%08x"}\n'
_TAIL = len(_CHECKSUM % 0)
_AHEAD = 1 << 15
_REQUEST = re.compile(rb'{"request_id":"([0-9a-f]{32})",')


class Answers(Mapping[str, Response]):
    """The last good record of each request, read from the disk when it is asked for.

    Only where a record lies is held: 408,848 answers (404 directions of 1,012) as objects are
    0.9 GB, as places 0.06.
    """

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self._paths = tuple(paths)
        self._open: list[int] = []
        weakref.finalize(self, _close, self._open)
        self._places: dict[bytes, int] = {}
        self._last = (-1, 0, b"")

    def note(self, request_id: bytes, file: int, start: int, length: int) -> None:
        """Remember where the record of a request lies."""
        # One integer a record: a tuple of three takes four times the memory.
        self._places[unhexlify(request_id)] = file << 96 | start << 40 | length

    def __getitem__(self, request_id: str) -> Response:
        place = self._places[bytes.fromhex(request_id)]
        index = place >> 96
        line = self._line(index, place >> 40 & (1 << 56) - 1, place & (1 << 40) - 1)
        response = decode(line)
        # Another's record may lie there now, whole.
        if response is None or response.request_id != request_id:
            path = self._paths[index]
            raise RuntimeFault(f"{path}: changed while it was read: run the same again")
        return response

    def _line(self, index: int, start: int, length: int) -> bytes:
        """Read a record, and some that follow: they are mostly asked for in their order."""
        file, first, content = self._last
        if file != index or not first <= start <= first + len(content) - length:
            if not self._open:
                self._open += [os.open(path, os.O_RDONLY) for path in self._paths]
            first, content = start, os.pread(self._open[index], max(length, _AHEAD), start)
            self._last = (index, first, content)
        return content[start - first : start - first + length]

    def __contains__(self, request_id: object) -> bool:
        return isinstance(request_id, str) and bytes.fromhex(request_id) in self._places

    def __iter__(self) -> Iterator[str]:
        return (request_id.hex() for request_id in self._places)

    def __len__(self) -> int:
        return len(self._places)


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)


@dataclass(frozen=True)
class Log:
    """What a folder of response files holds."""

    answers: Mapping[str, Response]
    """The last good record of each request."""
    bad: tuple[str, ...]
    """``file:line`` of each record that is torn or fails its checksum; they count as missing."""
    records: Mapping[str, int] = field(default_factory=dict)
    """Good records of each file that has some."""


def request_id(
    task: str,
    doc_id: int,
    asked: Any,
    kind: str = "generate_until",
    *,
    choice: int = 0,
    occurrence: int = 0,
) -> str:
    """Return the identity of a request, which no model is needed to know.

    ``asked`` is what the answer depends on as JSON: of an import the source segment, of a run the
    prompt before any chat template, with the decoding or the continuation. ``choice`` is its
    number among the requests of a document, ``occurrence`` among equal ones.
    """
    return digest([task, doc_id, asked, kind, choice, occurrence])[:32]


def encode(response: Response) -> str:
    """Return one line of the log."""
    text = json.dumps(response.__dict__, ensure_ascii=True, separators=(",", ":"))[:-1]
    return text + (_CHECKSUM % zlib.crc32(text.encode())).decode()


def decode(line: bytes) -> Response | None:
    """Read one line of the log; none where it is torn or its checksum is wrong."""
    if not _intact(line):
        return None
    text = line[:-_TAIL] + b"}"
    try:
        return Response.model_validate_json(text)
    except ValidationError:
        pass  # pydantic's parser, twice as fast, takes no lone surrogates
    try:
        return Response.model_validate(json.loads(text))
    except ValueError:  # ValidationError and JSONDecodeError
        return None


def _intact(line: bytes) -> bytes | None:
    """Return the request id of a line whose checksum is right."""
    text = line[:-_TAIL]
    if line[-_TAIL:] != _CHECKSUM % zlib.crc32(text):
        return None
    found = _REQUEST.match(text)
    return found[1] if found else None


def read(folder: Path) -> Log:
    """Read all response files of a cell; a later record of a request replaces an earlier one.

    Raises:
        UserError: a file was written by a newer version.
    """
    paths = sorted(folder.glob("*.jsonl"))
    answers, bad, records = Answers(paths), list[str](), dict[str, int]()
    for index, path in enumerate(paths):
        start = good = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number > 1 or not _is_header(path, line):
                    if request := _intact(line):
                        answers.note(request, index, start, len(line))
                        good += 1
                    else:
                        bad.append(f"{path}:{number}")
                start += len(line)
        if good:
            records[path.name] = good
    return Log(answers, tuple(bad), records)


class Writer:
    """The one writer of a response file; a torn last line is cut off when it is opened."""

    def __init__(self, path: Path) -> None:
        """Open, create and lock the file.

        Raises:
            UserError: another process writes to the file.
            RuntimeFault: the disk is full or fails.
        """
        self._path = path
        with self._disk():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what is written outlives a kill of the process, if not of the machine.
            self._file = path.open("ab+", buffering=0)
        try:
            _lock(self._file, path)
            with self._disk():
                _recover(self._file)
                if self._file.tell() == 0:
                    self._write(_HEADER.encode())
        except BaseException:
            self._file.close()
            raise

    def append(self, responses: Iterable[Response]) -> None:
        """Append records.

        Raises:
            RuntimeFault: the disk is full or fails; what was complete stays.
        """
        with self._disk():
            self._write(b"".join(encode(response).encode() for response in responses))

    def sync(self) -> None:
        """Flush to the disk what was appended, so that it outlives a power cut."""
        with self._disk():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush, unlock and close."""
        try:
            self.sync()
            with self._disk():
                store.sync_folder(self._path.parent)
        finally:
            self._file.close()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise RuntimeFault(
                f"{self._path}: {fault.strerror}: free the disk and run the same again"
            ) from fault


def quarantine(path: Path) -> int:
    """Move the bad records of a file into ``<name>.bad`` beside it; return how many there were.

    Raises:
        UserError: another process writes to the file.
    """
    with path.open("rb") as file:
        _lock(file, path)
        lines = file.readlines()
        keep = [
            (number == 0 and _is_header(path, line)) or _intact(line) is not None
            for number, line in enumerate(lines)
        ]
        bad = [line for line, good in zip(lines, keep, strict=True) if not good]
        if bad:
            with path.with_suffix(".bad").open("ab") as refuse:
                refuse.writelines(bad)
            whole = b"".join(line for line, good in zip(lines, keep, strict=True) if good)
            store.write_atomic(path, whole or _HEADER.encode())
    return len(bad)


def append(path: Path, responses: Iterable[Response]) -> None:
    """Append records and flush them to the disk; see :class:`Writer` for the faults."""
    with Writer(path) as writer:
        for response in responses:
            writer.append([response])


def _lock(file: IO[bytes], path: Path) -> None:
    """Lock a response file, unless it was replaced after it was opened: nobody would read it."""
    store.lock(file, path)
    if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
        raise UserError(f"{path}: another process writes to it: wait for it, then run again")


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
