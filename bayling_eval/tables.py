"""The two Parquet files of a cell: samples (texts) and per-segment sufficient statistics."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bayling_eval.errors import UserError
from bayling_eval.records import SCHEMA_VERSION

Floats = npt.NDArray[np.float64]

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


@dataclass(frozen=True)
class Sample:
    """One segment with its texts."""

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


def samples_bytes(tasks: Iterable[Sequence[Sample]]) -> bytes:
    """Return ``samples.parquet``, one row group a task, so that a page reads only what it shows."""
    names = _SAMPLES.names
    batches = ({name: [getattr(s, name) for s in task] for name in names} for task in tasks)
    return _write(_SAMPLES, (pa.Table.from_pydict(batch, schema=_SAMPLES) for batch in batches))


def statistics_bytes(entries: Sequence[Stored]) -> bytes:
    """Return ``statistics.parquet``, one row a task and metric, row groups of one task."""
    groups: dict[str, list[Stored]] = {}
    for entry in entries:
        groups.setdefault(entry.task, []).append(entry)
    return _write(_STATISTICS, [_statistics_table(group) for group in groups.values()])


def read_statistics(path: Any, metrics: Sequence[str] | None = None) -> list[Stored]:
    """Read ``statistics.parquet``, all of it or some metrics."""
    if metrics is not None and not metrics:
        return []
    filters = [("metric", "in", list(metrics))] if metrics is not None else None
    table = _read(path, _STATISTICS, filters)
    values = table.column("values")
    rows = table.drop_columns(["values"]).to_pylist()
    return [
        Stored(
            row["task"],
            row["metric"],
            row["signature"],
            row["spec"],
            tuple(row["references"]),
            _matrix(values[index], row["segments"]),
        )
        for index, row in enumerate(rows)
    ]


def read_samples(path: Any, task: str) -> list[Sample]:
    """Read the samples of one task."""
    rows = _read(path, _SAMPLES, [("task", "=", task)]).to_pylist()
    return [
        Sample(
            **{
                **row,
                "references": tuple(row["references"]),
                "reference_names": tuple(row["reference_names"]),
            }
        )
        for row in rows
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
            "values": [e.values.ravel() for e in entries],
        },
        schema=_STATISTICS,
    )


def _write(schema: pa.Schema, groups: Iterable[pa.Table]) -> bytes:
    buffer = io.BytesIO()
    tagged = schema.with_metadata({"schema_version": str(SCHEMA_VERSION)})
    with pq.ParquetWriter(buffer, tagged, compression="zstd", write_page_checksum=True) as writer:
        for group in groups:
            writer.write_table(group.replace_schema_metadata(tagged.metadata))
    return buffer.getvalue()


def _read(path: Any, schema: pa.Schema, filters: Any) -> pa.Table:
    try:
        source = path if isinstance(path, Path) else io.BytesIO(path.read_bytes())
        written = pq.read_schema(source)
        _check_schema(path, written, schema)
        found = pq.read_table(source, filters=filters, page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as fault:
        raise UserError(
            f"{path}: not a Parquet file of bayling_eval: run `bayling-eval score` again"
        ) from fault
    return found


def _check_schema(path: Any, found: pa.Schema, schema: pa.Schema) -> None:
    version = (found.metadata or {}).get(b"schema_version", b"0")
    if version.isdigit() and int(version) > SCHEMA_VERSION:
        raise UserError(f"{path}: written by a newer version of bayling_eval: update bayling_eval")
    if found.names != schema.names:
        raise UserError(f"{path}: unexpected columns: run `bayling-eval score` again")
