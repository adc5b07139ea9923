"""The response log: hostile answers, damaged files, two writers, and identity."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayling_eval import responses
from bayling_eval.errors import RuntimeFault, UserError
from bayling_eval.records import Response

ANSWERS = [
    "",
    " ",
    "plain",
    "nul \0 in it",
    "line\nfeed, carriage\rreturn, both\r\n",
    "\u2028\u2029\u0085\v\f\x1c",
    "lone high \ud83d",
    "lone low \ude00 surrogate",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e8\U0001f1f3",
    "quotes \" ' ` and \\ back \\u0041 \\n slashes",
    '","crc32":"00000000"}',
    '{"schema_version":99}',
    "\u202eright to left\u202c, e\u0301 and \u00e9",
    "\ufeff byte order mark \ufffe\uffff",
    "x" * 100_000,
    "\U0001f600" * 100_000,
]
LONG_KEY = "0123abcd/89abcdef"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Let the operating system write when it likes: no test pulls the plug."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def record(number, answer="an answer", **more):
    return Response(
        request_id=f"{number:032x}", key=LONG_KEY, prompt_digest=None, answer=answer, **more
    )


def ids(log):
    return sorted(log.answers)


def written(path, *records):
    responses.append(path, records)
    return path.read_bytes()


def read_bytes(folder, content):
    (folder / "log.jsonl").write_bytes(content)
    return responses.read(folder)


# Round trips.


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda text: ascii(text[:20]))
def test_any_answer_comes_back(tmp_path, answer):
    kept = record(1, answer, finish_reason="length", prompt_tokens=0, output_tokens=7)
    log = responses.read(tmp_path)
    assert log == responses.Log({}, ())
    responses.append(tmp_path / "log.jsonl", [record(0), kept, record(2)])
    log = responses.read(tmp_path)
    assert log.bad == ()
    assert log.answers == {r.request_id: r for r in (record(0), kept, record(2))}


@settings(deadline=None)
@given(st.text())
def test_encode_is_one_ascii_line_that_decodes(text):
    line = responses.encode(record(1, text)).encode("ascii")
    assert line.count(b"\n") == 1
    assert line.endswith(b'"}\n')
    assert responses.decode(line) == record(1, text)


WHOLE = f'{{"request_id":"{1:032x}","key":"k","prompt_digest":null,"answer":"a"'


@pytest.mark.parametrize(
    "more",
    [
        *("", ',"answer":"b"', ',"prompt_tokens":5', ',"prompt_tokens":5.0', ',"spans_join":true'),
        *(',"prompt_tokens":"5"', ',"prompt_tokens":true', ',"spans_join":1', ',"spans_join":"no"'),
        *(',"prompt_tokens":5.5', ',"prompt_tokens":NaN', ',"prompt_tokens":1e999', ',"other":1'),
        *(',"finish_reason":"\\ud800"', ',"finish_reason":"\\ud83d\\ude00"', ',"answer":null', ","),
        *(',"finish_reason":"\n"', ',"finish_reason":"\x00"', "}{", "}", ',"answer":["a"]', ',"a"'),
    ],
)
def test_a_line_is_read_as_json_and_pydantic_read_it(more):
    text = f"{WHOLE}{more}"
    line = f'{text},"crc32":"{zlib.crc32(text.encode()):08x}"}}\n'.encode()
    try:
        expected = Response.model_validate(json.loads(text + "}"))
    except ValueError:
        expected = None
    assert responses.decode(line) == expected


def test_a_line_is_json_with_its_checksum():
    line = responses.encode(record(1, 'a"b'))
    found = json.loads(line)
    assert found["answer"] == 'a"b'
    # The checksum covers everything before it: python3 -c 'print(f"{zlib.crc32(TEXT):08x}")'.
    assert list(found)[-1] == "crc32"
    assert len(found["crc32"]) == 8


def test_a_file_says_its_version_first(tmp_path):
    content = written(tmp_path / "deep/er/log.jsonl", record(1))
    assert json.loads(content.split(b"\n")[0]) == {"schema_version": 1, "kind": "responses"}
    again = written(tmp_path / "deep/er/log.jsonl", record(2))
    assert again.startswith(content)
    assert again.count(b"schema_version") == 1


def test_nothing_to_append_is_no_fault(tmp_path):
    written(tmp_path / "log.jsonl")
    assert responses.read(tmp_path) == responses.Log({}, ())


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert responses.read(tmp_path / "absent") == responses.Log({}, ())


@pytest.mark.parametrize("files", [("log", "log"), ("a", "b")])
def test_a_later_record_replaces_an_earlier_one(tmp_path, files):
    written(tmp_path / f"{files[0]}.jsonl", record(1, "old"), record(2, "old"))
    written(tmp_path / f"{files[1]}.jsonl", record(1, "new"))
    answers = {key: found.answer for key, found in responses.read(tmp_path).answers.items()}
    assert answers == {record(1).request_id: "new", record(2).request_id: "old"}


def test_other_files_are_not_read(tmp_path):
    written(tmp_path / "log.jsonl", record(1))
    (tmp_path / "notes.txt").write_text("not a record\n")
    (tmp_path / "log.jsonl.bak").write_text("not a record\n")
    assert responses.read(tmp_path).bad == ()


# Damage.


@pytest.mark.parametrize("flip", [0x01, 0x04, 0x20, 0x80])
def test_every_flipped_byte_of_a_record_is_detected(tmp_path, flip):
    lines = written(tmp_path / "log.jsonl", record(1), record(2), record(3)).splitlines(True)
    unseen = []
    for place in range(len(lines[2])):
        damaged = bytearray(lines[2])
        damaged[place] ^= flip
        log = read_bytes(tmp_path, b"".join([*lines[:2], damaged, lines[3]]))
        if f"{tmp_path / 'log.jsonl'}:3" not in log.bad or record(2).request_id in log.answers:
            unseen.append(place - len(lines[2]))
        assert record(1).request_id in log.answers
        # Where the line end is lost, the next record cannot be told from the damaged one.
        assert record(3).request_id in log.answers or place == len(lines[2]) - 1
    assert unseen == []


@pytest.mark.parametrize("byte", [b"\n", b"\0", b'"', b"}"])
def test_every_overwritten_byte_of_a_record_is_detected(tmp_path, byte):
    lines = written(tmp_path / "log.jsonl", record(1), record(2), record(3)).splitlines(True)
    for place in range(len(lines[2]) - 3):
        damaged = lines[2][:place] + byte + lines[2][place + 1 :]
        if damaged != lines[2]:
            log = read_bytes(tmp_path, b"".join([*lines[:2], damaged, lines[3]]))
            assert ids(log) == ids_of(1, 3)
            assert log.bad[0].endswith("log.jsonl:3")


def ids_of(*numbers):
    return [record(number).request_id for number in numbers]


def test_damaged_lines_are_named_and_only_they_are_lost(tmp_path):
    lines = written(tmp_path / "log.jsonl", *map(record, range(1, 6))).splitlines(True)
    lines[2] = lines[2].replace(b"an answer", b"An answer")
    lines[4] = b"\n"
    lines[5] = b"\xff\xfe not text\n"
    log = read_bytes(tmp_path, b"".join(lines))
    assert ids(log) == ids_of(1, 3)
    assert log.bad == tuple(f"{tmp_path / 'log.jsonl'}:{number}" for number in (3, 5, 6))


def test_a_damaged_later_record_leaves_the_earlier_one(tmp_path):
    content = written(tmp_path / "log.jsonl", record(1, "old"), record(1, "new"))
    log = read_bytes(tmp_path, content.replace(b'"new"', b'"nev"'))
    assert [found.answer for found in log.answers.values()] == ["old"]
    assert len(log.bad) == 1


@pytest.mark.parametrize("place", [0, 1, 18, 19, 36, 37])
def test_a_damaged_header_loses_no_record(tmp_path, place):
    content = written(tmp_path / "log.jsonl", record(1))
    refused = []
    for byte in range(256):
        damaged = content[:place] + bytes([byte]) + content[place + 1 :]
        try:
            assert ids(read_bytes(tmp_path, damaged)) == ids_of(1)
        except UserError:
            refused.append(chr(byte))
    # Only the digit of the version can make the file look like a newer one's.
    assert refused == (list("23456789") if content[place : place + 1] == b"1" else [])


def test_a_torn_tail_is_cut_at_every_byte_and_nothing_earlier_is_lost(tmp_path):
    path = tmp_path / "log.jsonl"
    whole = written(path, record(1), record(2, "torn"))
    start = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for cut in range(start, len(whole)):
        before = read_bytes(tmp_path, whole[:cut])
        responses.append(path, [record(3)])
        after = responses.read(tmp_path)
        assert ids(after) == ids_of(1, 3)
        assert after.bad == ()
        # What was counted as there must not go away when something is added.
        assert set(before.answers) <= set(after.answers), f"{len(whole) - cut} bytes missing"


def test_a_torn_header_is_written_again(tmp_path):
    path = tmp_path / "log.jsonl"
    whole = written(path, record(1))
    for cut in range(whole.index(b"\n") + 1):
        read_bytes(tmp_path, whole[:cut])
        assert written(path, record(1)) == whole


@pytest.mark.parametrize("length", [1, 65_535, 65_536, 65_537, 200_000])
def test_a_long_torn_tail_is_cut(tmp_path, length):
    path = tmp_path / "log.jsonl"
    whole = written(path, record(1))
    path.write_bytes(whole + b"x" * length)
    written(path, record(2))
    assert ids(responses.read(tmp_path)) == ids_of(1, 2)
    assert responses.read(tmp_path).bad == ()


def test_a_whole_but_bad_record_stays_where_it_is(tmp_path):
    path = tmp_path / "log.jsonl"
    content = written(path, record(1), record(2)).replace(b"an answer", b"AN answer", 1)
    path.write_bytes(content)
    assert written(path, record(3)).startswith(content)


# Versions.


@pytest.mark.parametrize("version", [2, 99])
def test_a_newer_file_is_refused(tmp_path, version):
    content = f'{{"schema_version":{version},"kind":"responses"}}\n'.encode()
    with pytest.raises(UserError, match=r"log\.jsonl:1: written by a newer version"):
        read_bytes(tmp_path, content)


@pytest.mark.parametrize("version", ["2", None, [], {}, "1"])
def test_a_version_that_is_no_number_is_a_bad_line(tmp_path, version):
    good = responses.encode(record(1)).encode()
    log = read_bytes(tmp_path, json.dumps({"schema_version": version}).encode() + b"\n" + good)
    assert ids(log) == ids_of(1)
    assert len(log.bad) == 1


@pytest.mark.parametrize("line", [b"1" * 5000, b"\xff", b"null", b'"schema_version"', b""])
def test_a_first_line_that_is_no_header_is_a_bad_line(tmp_path, line):
    log = read_bytes(tmp_path, line + b"\n" + responses.encode(record(1)).encode())
    assert ids(log) == ids_of(1)
    assert log.bad == (f"{tmp_path / 'log.jsonl'}:1",)


# Writers.

HOLD = """
import sys
from pathlib import Path
from bayling_eval import responses
def wait():
    print("held", flush=True)
    sys.stdin.readline()
    yield from ()
responses.append(Path(sys.argv[1]), wait())
"""


def test_a_second_writer_is_refused_until_the_first_has_gone(tmp_path):
    path = tmp_path / "log.jsonl"
    before = written(path, record(1))
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    try:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match="another process writes to it"):
            responses.append(path, [record(2)])
        assert path.read_bytes() == before
    finally:
        first.kill()
        first.communicate()
    responses.append(path, [record(2)])
    assert ids(responses.read(tmp_path)) == ids_of(1, 2)


def test_records_before_a_fault_are_kept(tmp_path):
    def failing():
        yield record(2)
        raise ValueError

    written(tmp_path / "log.jsonl", record(1))
    with pytest.raises(ValueError, match="^$"):
        responses.append(tmp_path / "log.jsonl", failing())
    responses.append(tmp_path / "log.jsonl", [record(3)])
    log = responses.read(tmp_path)
    assert {*ids_of(1, 3)} <= set(log.answers)
    assert log.bad == ()


def test_a_full_disk_is_a_runtime_fault_that_names_the_file(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RuntimeFault, match=r"log\.jsonl: No space left on device: free the disk"):
        responses.append(tmp_path / "log.jsonl", [record(1)])


def test_a_folder_that_cannot_be_made_is_a_runtime_fault(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RuntimeFault, match=r"log\.jsonl: Not a directory"):
        responses.append(tmp_path / "file/responses/log.jsonl", [record(1)])


def test_a_new_file_and_its_name_are_flushed_to_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino))
    responses.append(tmp_path / "log.jsonl", [record(1)])
    assert {(tmp_path / "log.jsonl").stat().st_ino, tmp_path.stat().st_ino} <= set(flushed)


# Identity.

BASE = {"task": "t", "doc_id": 0, "asked": "s"}


def test_request_id_is_stable():
    # printf '["t",0,"s","generate_until",0,0]' | sha256sum | cut -c1-32
    assert responses.request_id(**BASE) == "1b53da8632e16847f79f2972f57da328"
    # printf '["t",0,["é"," b"],"loglikelihood",1,2]' | sha256sum | cut -c1-32
    found = responses.request_id("t", 0, ["é", " b"], "loglikelihood", choice=1, occurrence=2)
    assert found == "e3bc425b45214bff6f9e71e3ec5400df"


def test_request_id_depends_on_every_argument():
    others = [
        {},
        {"task": "u"},
        {"doc_id": 1},
        {"asked": "t"},
        {"asked": ["s"]},
        {"asked": {"text": "s"}},
        {"asked": ""},
        {"asked": "s "},
        {"asked": "\ud800"},
        {"kind": "loglikelihood"},
        {"choice": 1},
        {"occurrence": 1},
    ]
    found = {responses.request_id(**{**BASE, **other}) for other in others}
    assert len(found) == len(others)
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in found)
