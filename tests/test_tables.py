"""The two Parquet files: round trips, filters, and files of others."""

import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayling_eval import tables
from bayling_eval.errors import UserError
from bayling_eval.records import Job
from bayling_eval.tables import Sample, Stored

HOSTILE = ["", " ", "\0", "a\u2028b\n\r\n", "<script>", "\U0001f600", "\ufeff", "x" * 100_000]


def stored(task="t", metric="bleu", values=((1.0, 2.0), (3.0, 4.0)), references=("ref",)):
    spec = f"{metric}:lowercase=yes"
    return Stored(task, metric, f"sig|{metric}", spec, references, np.array(values))


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        keys = ("task", "metric", "signature", "spec", "references")
        assert [getattr(one, key) for key in keys] == [getattr(other, key) for key in keys]
        assert one.values.dtype == np.float64
        assert one.values.shape == other.values.shape
        assert np.array_equal(one.values, other.values, equal_nan=True)


def written(tmp_path, entries, name="statistics.parquet"):
    path = tmp_path / name
    path.write_bytes(tables.statistics_bytes(entries))
    return path


ENTRIES = [
    stored("t1", "bleu", np.arange(30.0).reshape(3, 10), ("A", "B")),
    stored("t1", "chrf", [[0.1, 1e300, -0.0]]),
    stored("t2", "bleu", [[np.nan], [np.inf], [-np.inf]]),
    stored("t2\u2028é", "length_ratio", np.zeros((500, 2)), ("A", "stud")),
]


# Statistics.


def test_statistics_come_back(tmp_path):
    same(tables.read_statistics(written(tmp_path, ENTRIES)), ENTRIES)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.integers(1, 4), st.floats(allow_nan=False)),
        min_size=1,
        max_size=6,
    )
)
def test_any_shapes_in_one_file_come_back(tmp_path_factory, shapes):
    entries = [
        stored("t", f"m{number}", np.full((n, k), value) + np.arange(k))
        for number, (n, k, value) in enumerate(shapes)
    ]
    path = written(tmp_path_factory.mktemp("x"), entries)
    same(tables.read_statistics(path), entries)
    same(tables.read_statistics(path, [entries[-1].metric]), entries[-1:])


@pytest.mark.parametrize(
    ("metrics", "kept"),
    [
        (None, [0, 1, 2, 3]),
        (["bleu"], [0, 2]),
        (["chrf", "length_ratio"], [1, 3]),
        (("bleu", "bleu"), [0, 2]),
        (["ter"], []),
        (["BLEU"], []),
        ([], []),
    ],
)
def test_metrics_are_filtered(tmp_path, metrics, kept):
    found = tables.read_statistics(written(tmp_path, ENTRIES), metrics)
    same(found, [ENTRIES[number] for number in kept])


def test_no_statistics_are_a_file_too(tmp_path):
    path = written(tmp_path, [])
    assert tables.read_statistics(path) == []
    assert tables.read_statistics(path, ["bleu"]) == []


def test_a_task_is_a_row_group_even_where_its_entries_are_apart(tmp_path):
    entries = [stored("t1"), stored("t2"), stored("t1", "chrf")]
    path = written(tmp_path, entries)
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [2, 1]
    same(tables.read_statistics(path), [entries[0], entries[2], entries[1]])


def test_the_same_entries_give_the_same_bytes():
    assert tables.statistics_bytes(ENTRIES) == tables.statistics_bytes(ENTRIES)


def test_a_column_of_a_larger_matrix_is_stored_as_it_looks(tmp_path):
    values = np.arange(12.0).reshape(3, 4).T[::2]
    path = written(tmp_path, [stored(values=values)])
    assert tables.read_statistics(path)[0].values.tolist() == values.tolist()


def test_one_task_and_what_was_computed_are_read_alone(tmp_path):
    reader = tables.StatisticsReader(written(tmp_path, ENTRIES))
    for task in ("t1", "t2", "t2\u2028é", "absent"):
        same(reader.of(task), [entry for entry in ENTRIES if entry.task == task])
    assert reader.signatures() == {
        Job(task=e.task, metric=e.spec, references=e.references): e.signature for e in ENTRIES
    }


def test_what_was_computed_is_read_without_pandas_and_pyarrows_data_sets(tmp_path):
    written(tmp_path, ENTRIES)
    code = (
        "import sys; from pathlib import Path; from bayling_eval import tables; "
        "print(len(tables.StatisticsReader(Path(sys.argv[1])).signatures())); "
        "print(*({'pandas', 'pyarrow.dataset'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "statistics.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(ENTRIES))]


# Samples.


def sample(task, number, text):
    names, references = ("A", "B"), (text, f"{text}!")
    return Sample(task, number, f"id{number}", None, text, names, references, text)


def test_samples_of_one_task_come_back(tmp_path):
    tasks = [
        [sample(f"t{task}", number, text) for number, text in enumerate(HOSTILE)]
        for task in range(3)
    ]
    path = tmp_path / "samples.parquet"
    path.write_bytes(tables.samples_bytes(tasks))
    assert tables.read_samples(path, "t1") == tasks[1]
    assert tables.read_samples(path, "t") == []
    assert pq.ParquetFile(path).num_row_groups == 3
    again = tables.SamplesWriter()
    for name in ("t0", "t1", "t2"):
        again.add(tables.SamplesReader(path).of(name))
    assert again.content() == path.read_bytes()


# Where the file lies.


@pytest.mark.parametrize(
    "folder", ["lr=3e-5", "metric=bleu", "task=x", "a b#c%20?", "file:", "[x]*", "百聆", ".hidden"]
)
def test_the_folders_name_does_not_matter(tmp_path, folder):
    (tmp_path / folder / "deep").mkdir(parents=True)
    path = written(tmp_path / folder / "deep", ENTRIES)
    same(tables.read_statistics(path, ["chrf"]), ENTRIES[1:2])
    same(tables.read_statistics(path), ENTRIES)


def test_a_file_inside_an_export_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("a/statistics.parquet", tables.statistics_bytes(ENTRIES))
        archive.writestr("a/samples.parquet", tables.samples_bytes([[sample("t", 0, "x")]]))
        archive.writestr("a/broken.parquet", b"PAR1")
    root = zipfile.Path(tmp_path / "out.zip", "a/")
    same(tables.read_statistics(root / "statistics.parquet"), ENTRIES)
    assert tables.read_samples(root / "samples.parquet", "t") == [sample("t", 0, "x")]
    for name in ("broken.parquet", "absent.parquet"):
        with pytest.raises(UserError, match=name):
            tables.read_statistics(root / name)


# Files of others.


def foreign(path, columns, version=None):
    table = pa.table(columns)
    metadata = {"schema_version": version} if version is not None else None
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


READERS = pytest.mark.parametrize(
    "read",
    [
        tables.read_statistics,
        lambda path: tables.read_statistics(path, ["bleu"]),
        lambda path: tables.read_samples(path, "t"),
    ],
    ids=["statistics", "filtered", "samples"],
)


@READERS
@pytest.mark.parametrize("content", [b"", b"PAR1", b"not Parquet", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_what_is_not_parquet_is_a_user_error(tmp_path, read, content):
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: not a Parquet file of bayling_eval: ")


@READERS
@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_a_file_cut_short_is_a_user_error(tmp_path, read, part):
    path = written(tmp_path, ENTRIES)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(UserError, match=r"statistics\.parquet: not a Parquet file"):
        read(path)


@READERS
def test_a_missing_file_is_a_user_error(tmp_path, read):
    with pytest.raises(UserError, match=r"absent\.parquet"):
        read(tmp_path / "absent.parquet")


@READERS
@pytest.mark.parametrize("columns", [{"metric": ["bleu"], "task": ["t"]}, {"renamed": ["x"]}])
def test_a_newer_file_is_refused_whatever_its_columns(tmp_path, read, columns):
    path = foreign(tmp_path / "x.parquet", columns, version="2")
    with pytest.raises(UserError) as caught:
        read(path)
    message = "written by a newer version of bayling_eval: update bayling_eval"
    assert str(caught.value) == f"{path}: {message}"


@READERS
@pytest.mark.parametrize("version", [None, "1", "one"])
def test_other_columns_are_a_user_error(tmp_path, read, version):
    path = foreign(tmp_path / "x.parquet", {"metric": ["bleu"], "task": ["t"]}, version)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_statistics_are_not_samples(tmp_path):
    path = written(tmp_path, ENTRIES)
    with pytest.raises(UserError, match="unexpected columns"):
        tables.read_samples(path, "t1")


def test_no_damaged_byte_of_the_data_gives_other_numbers(tmp_path):
    path = written(tmp_path, ENTRIES)
    whole = path.read_bytes()
    # Parquet ends with the footer, its length in four bytes, and PAR1.
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    silent = []
    for place in range(0, footer, 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            same(tables.read_statistics(path), ENTRIES)
        except UserError:
            continue
        except AssertionError:
            silent.append(place)
    assert silent == []
