"""The two Parquet files of a cell: samples (texts) and per-segment sufficient statistics."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bayling_eval.errors import UserError
from bayling_eval.records import SCHEMA_VERSION, Job

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int32]

_TEXTS = pa.list_(pa.string())
_SAMPLES = pa.schema(
    [
        ("task", pa.string()),
        ("doc_id", pa.int32()),
        ("request_id", pa.string()),
        ("document", pa.string()),
        ("source", pa.string()),
        ("reference_names", _TEXTS),
        ("references", _TEXTS),
        ("output", pa.string()),
    ]
)
_STATISTICS = pa.schema(
    [
        ("task", pa.string()),
        ("metric", pa.string()),
        ("signature", pa.string()),
        ("spec", pa.string()),
        ("references", _TEXTS),
        ("segments", pa.int32()),
        ("documents", pa.list_(pa.int32())),
        ("values", pa.large_list(pa.float64())),
    ]
)


@dataclass(frozen=True)
class Stored:
    """Per-segment statistics of one task under one metric, as kept."""

    task: str
    """Name of the task."""
    metric: str
    """Name of the metric."""
    signature: str
    """What exactly was computed."""
    spec: str
    """The metric as the user wrote it, with options."""
    references: tuple[str, ...]
    """Names of the references used."""
    values: Floats
    """Shape (segments, k)."""
    documents: Numbers | None = None
    """Document of each segment, numbered from 0; none where the benchmark names none."""


class Sample(NamedTuple):
    """One segment with its texts, in the order of the columns."""

    task: str
    """Name of the task."""
    doc_id: int
    """Number of the segment, from 0."""
    request_id: str
    """Identity of the request that the output answers."""
    document: str | None
    """Document that the segment belongs to."""
    source: str
    """Source text."""
    reference_names: tuple[str, ...]
    """Names of the references."""
    references: tuple[str, ...]
    """Reference texts."""
    output: str
    """Raw output of the system: hostile text wherever it is shown."""


class _Writer:
    """A Parquet file, made row group by row group; leave it as a context manager."""

    _schema: pa.Schema

    def __init__(self, folder: Path | None = None) -> None:
        """Begin, in a file without a name in a folder, or in memory."""
        self._tagged = self._schema.with_metadata({"schema_version": str(SCHEMA_VERSION)})
        self._kept: IO[bytes] = TemporaryFile(dir=folder) if folder else io.BytesIO()  # noqa: SIM115
        self._file = pq.ParquetWriter(
            self._kept, self._tagged, compression="zstd", write_page_checksum=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._kept.close()

    def content(self) -> bytes:
        """Return the whole file; nothing can be added any more."""
        self._file.close()
        self._kept.seek(0)
        return self._kept.read()

    def _add(self, group: pa.Table) -> None:
        self._file.write_table(group.replace_schema_metadata(self._tagged.metadata))


class SamplesWriter(_Writer):
    """``samples.parquet``, one row group a task, so that a page reads only what it shows."""

    _schema = _SAMPLES

    def add(self, task: Sequence[Sample] | pa.Table) -> None:
        """Add the samples of one task, new ones or those of an earlier file."""
        if not isinstance(task, pa.Table):
            columns = zip(*task, strict=True) if task else ((),) * len(Sample._fields)
            batch = dict(zip(Sample._fields, columns, strict=True))
            task = pa.Table.from_pydict(batch, schema=_SAMPLES)
        self._add(task)


class StatisticsWriter(_Writer):
    """``statistics.parquet``, one row a task and metric, row groups of one task."""

    _schema = _STATISTICS

    def add(self, entries: Sequence[Stored]) -> None:
        """Add all entries of one task."""
        self._add(_statistics_table(entries))


def samples_bytes(tasks: Iterable[Sequence[Sample]]) -> bytes:
    """Return ``samples.parquet`` of some tasks."""
    with SamplesWriter() as writer:
        for task in tasks:
            writer.add(task)
        return writer.content()


def statistics_bytes(entries: Sequence[Stored]) -> bytes:
    """Return ``statistics.parquet`` of entries in any order."""
    groups: dict[str, list[Stored]] = {}
    for entry in entries:
        groups.setdefault(entry.task, []).append(entry)
    with StatisticsWriter() as writer:
        for group in groups.values():
            writer.add(group)
        return writer.content()


class _Reader:
    """A Parquet file of this package; only row groups that may hold what is asked for are read."""

    _schema: pa.Schema

    def __init__(self, path: Any) -> None:
        """Open the file.

        Raises:
            UserError: it is not there, or no file of ours.
        """
        self._path = path
        self._known: dict[str, list[tuple[str, str] | None]] = {}
        with self._told():
            source = path if isinstance(path, Path) else io.BytesIO(path.read_bytes())
            # Not read_table: it imports pandas and more, which takes half a second.
            self._file = pq.ParquetFile(source, page_checksum_verification=True)
        _check_schema(path, self._file.schema_arrow, self._schema)

    def all(self, columns: Sequence[str] | None = None) -> pa.Table:
        with self._told():
            return self._file.read(columns=columns)

    def rows(self, column: str, wanted: Sequence[str]) -> pa.Table:
        """Return the rows with one of the values that are wanted in a column."""
        with self._told():
            found = self._file.read_row_groups(self._groups(column, wanted))
        having = [value in wanted for value in found.column(column).to_pylist()]
        return found if all(having) else found.filter(pa.array(having, pa.bool_()))

    def _groups(self, column: str, wanted: Sequence[str]) -> list[int]:
        return [
            number
            for number, one in enumerate(self._ranges(column))
            if one is None or any(one[0] <= w <= one[1] for w in wanted)
        ]

    def _ranges(self, column: str) -> list[tuple[str, str] | None]:
        """Return the least and the greatest value of each row group, where they are known.

        Kept: read anew for each of 400 tasks they took half of the time of a report's samples.
        """
        if column not in self._known:
            place, held = self._file.schema_arrow.names.index(column), self._file.metadata
            found = (held.row_group(n).column(place).statistics for n in range(held.num_row_groups))
            self._known[column] = [
                (one.min, one.max) if one is not None and one.has_min_max else None for one in found
            ]
        return self._known[column]

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowInvalid, OSError) as fault:
            raise UserError(
                f"{self._path}: not a Parquet file of bayling_eval: run `bayling-eval score` again"
            ) from fault


class StatisticsReader(_Reader):
    """``statistics.parquet`` of a cell, read task by task."""

    _schema = _STATISTICS

    def signatures(self) -> dict[Job, str]:
        """Return what was computed under each job."""
        rows = self.all(["task", "spec", "references", "signature"]).to_pylist()
        return {
            Job(task=row["task"], metric=row["spec"], references=tuple(row["references"])): row[
                "signature"
            ]
            for row in rows
        }

    def of(self, task: str) -> list[Stored]:
        """Return the entries of one task."""
        return _stored(self.rows("task", [task]))


class SamplesReader(_Reader):
    """``samples.parquet`` of a cell, read task by task."""

    _schema = _SAMPLES

    def of(self, task: str) -> pa.Table:
        """Return the samples of one task as they are kept."""
        return self.rows("task", [task])

    def samples(self, task: str) -> list[Sample]:
        """Return the samples of one task."""
        lists = ("references", "reference_names")
        return [
            Sample(**{**row, **{name: tuple(row[name]) for name in lists}})
            for row in self.of(task).to_pylist()
        ]


def read_statistics(path: Any, metrics: Sequence[str] | None = None) -> list[Stored]:
    """Read ``statistics.parquet``, all of it or some metrics."""
    if metrics is not None and not metrics:
        return []
    file = StatisticsReader(path)
    return _stored(file.all() if metrics is None else file.rows("metric", metrics))


def read_samples(path: Any, task: str) -> list[Sample]:
    """Read the samples of one task."""
    return SamplesReader(path).samples(task)


def _stored(table: pa.Table) -> list[Stored]:
    values, documents = table.column("values"), table.column("documents")
    rows = table.drop_columns(["values", "documents"]).to_pylist()
    return [
        Stored(
            row["task"],
            row["metric"],
            row["signature"],
            row["spec"],
            tuple(row["references"]),
            _matrix(values[index], row["segments"]),
            documents[index].values.to_numpy() if documents[index].is_valid else None,
        )
        for index, row in enumerate(rows)
    ]


def _matrix(value: Any, segments: int) -> Floats:
    flat: Floats = value.values.to_numpy()
    return flat.reshape(segments, -1) if segments else np.zeros((0, 0))


def _statistics_table(entries: Sequence[Stored]) -> pa.Table:
    return pa.Table.from_pydict(
        {
            "task": [e.task for e in entries],
            "metric": [e.metric for e in entries],
            "signature": [e.signature for e in entries],
            "spec": [e.spec for e in entries],
            "references": [list(e.references) for e in entries],
            "segments": [len(e.values) for e in entries],
            "documents": [e.documents for e in entries],
            "values": [e.values.ravel() for e in entries],
        },
        schema=_STATISTICS,
    )


def _check_schema(path: Any, found: pa.Schema, schema: pa.Schema) -> None:
    version = (found.metadata or {}).get(b"schema_version", b"0")
    if version.isdigit() and int(version) > SCHEMA_VERSION:
        raise UserError(f"{path}: written by a newer version of bayling_eval: update bayling_eval")
    if found.names != schema.names:
        raise UserError(f"{path}: unexpected columns: run `bayling-eval score` again")
