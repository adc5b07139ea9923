"""The writer of a response file, what is moved out of it, and answers read when they are needed."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bayling_eval import responses
from bayling_eval.errors import RuntimeFault, UserError
from bayling_eval.records import Response
from bayling_eval.responses import Writer


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Let the operating system write when it likes: no test pulls the plug."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "responses" / "run.jsonl"


def record(number, answer="an answer"):
    return Response(
        request_id=f"{number:032x}", key="0123abcd/89abcdef", prompt_digest=None, answer=answer
    )


def ids(*numbers):
    return [record(number).request_id for number in numbers]


def write(path, *numbers):
    responses.append(path, map(record, numbers))
    return path.read_bytes()


def damage(path, *numbers):
    """Change the first letter of the answers of these records."""
    content = path.read_bytes()
    for number in numbers:
        whole = responses.encode(record(number)).encode()
        assert whole in content
        content = content.replace(whole, whole.replace(b'"an', b'"An'))
    path.write_bytes(content)


# The writer


def test_what_was_appended_outlives_a_kill_of_the_process(path):
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from test_response_writer import record, Writer\n"
        "writer = Writer(Path(sys.argv[1]))\n"
        "for number in range(3): writer.append([record(number)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    folder = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, str(path), folder], check=False)
    assert done.returncode == -9
    log = responses.read(path.parent)
    assert (list(log.answers), log.bad) == (ids(0, 1, 2), ())
    assert write(path, 3).count(b"\n") == 5


def test_each_record_can_be_read_while_the_writer_goes_on(path):
    with Writer(path) as writer:
        for number in range(3):
            writer.append([record(number)])
            assert list(responses.read(path.parent).answers) == ids(*range(number + 1))


def test_a_file_has_one_writer_at_a_time(path):
    with Writer(path) as writer:
        before = path.read_bytes()
        with pytest.raises(UserError, match=r"run\.jsonl: another process writes to it: wait"):
            Writer(path)
        assert path.read_bytes() == before
        writer.append([record(1)])
    with Writer(path):
        assert list(responses.read(path.parent).answers) == ids(1)


def test_two_files_of_a_folder_have_a_writer_each(path):
    with Writer(path) as one, Writer(path.with_name("other.jsonl")) as other:
        one.append([record(1)])
        other.append([record(2)])
    assert set(responses.read(path.parent).answers) == {*ids(1, 2)}


def test_a_writer_that_was_refused_or_failed_leaves_no_file_open(path, tmp_path):
    opened = Path("/proc/self/fd")
    if not opened.is_dir():
        pytest.skip("no list of open files on this system")
    with Writer(path):
        before = len(list(opened.iterdir()))
        for _ in range(3):
            with pytest.raises(UserError):
                Writer(path)
        assert len(list(opened.iterdir())) == before
    assert len(list(opened.iterdir())) == before - 1


def test_a_file_that_was_replaced_before_it_was_locked_is_not_written(path, monkeypatch):
    """What goes to a file that has no name any more is lost."""
    write(path, 1, 2)
    damage(path, 1)
    real = fcntl.flock

    def late(file, how):
        monkeypatch.setattr(fcntl, "flock", real)
        assert responses.quarantine(path) == 1  # another process is quicker
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(UserError, match="another process writes to it"):
        Writer(path)
    write(path, 3)
    assert set(responses.read(path.parent).answers) == {*ids(2, 3)}


def full_after(monkeypatch, size):
    """Let the disk take so many more bytes of response files."""
    left = [size]

    class Disk:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data):
            if not left[0]:
                raise OSError(28, "No space left on device")
            taken = self._file.write(bytes(data)[: left[0]])
            left[0] -= taken
            return taken

    real = Path.open

    def opening(self, *arguments, **options):
        file = real(self, *arguments, **options)
        return Disk(file) if self.suffix == ".jsonl" else file

    monkeypatch.setattr(Path, "open", opening)


LINE = len(responses.encode(record(1)))


@pytest.mark.parametrize("room", [0, 1, LINE - 1, LINE, LINE + 1, 3 * LINE - 1])
def test_a_disk_that_fills_up_costs_only_what_was_not_complete(path, monkeypatch, room):
    write(path, 0)
    with monkeypatch.context() as patch:
        full_after(patch, room)
        with pytest.raises(RuntimeFault, match=r"run\.jsonl: No space left.*run the same again"):
            responses.append(path, map(record, (1, 2, 3)))
    kept = range(room // LINE + 1)
    log = responses.read(path.parent)
    assert list(log.answers) == ids(*kept)
    assert len(log.bad) == (room % LINE > 0)
    with Writer(path) as writer:
        writer.append([record(9)])
    log = responses.read(path.parent)
    assert (list(log.answers), log.bad) == (ids(*kept, 9), ())


def test_a_disk_that_takes_a_record_in_pieces_gets_it_whole(path, monkeypatch):
    real = Path.open

    class Slow:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data):
            return self._file.write(bytes(data)[:7])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *a, **k: Slow(real(*a, **k)))
        write_slowly = Writer(path)
        write_slowly.append([record(1), record(2)])
        write_slowly.close()
    assert list(responses.read(path.parent).answers) == ids(1, 2)


def test_a_fault_of_the_last_flush_is_said_and_the_file_is_free(path, monkeypatch):
    def failing(handle):
        raise OSError(5, "Input/output error")

    writer = Writer(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(RuntimeFault, match=r"run\.jsonl: Input/output error"):
            writer.close()
    Writer(path).close()


# Bad records are moved out


def bad_of(path):
    return path.with_suffix(".bad").read_bytes()


def test_bad_records_are_moved_and_the_good_ones_stay_in_order(path):
    good = write(path, *range(6)).splitlines(keepends=True)
    damage(path, 1, 4)
    bad = [line.replace(b'"an', b'"An') for line in (good[2], good[5])]
    assert responses.quarantine(path) == 2
    assert path.read_bytes() == b"".join(good[i] for i in (0, 1, 3, 4, 6))
    assert bad_of(path) == b"".join(bad)
    log = responses.read(path.parent)
    assert (list(log.answers), log.bad) == (ids(0, 2, 3, 5), ())
    assert responses.quarantine(path) == 0
    assert bad_of(path) == b"".join(bad)


def test_bad_records_of_later_times_are_added(path):
    write(path, 1, 2)
    for number in (1, 2):
        damage(path, number)
        assert responses.quarantine(path) == 1
    assert bad_of(path).count(b'"An answer"') == 2
    assert responses.read(path.parent) == responses.Log({}, ())


def test_a_file_without_bad_records_is_not_touched(path):
    write(path, 1)
    before = path.stat()
    assert responses.quarantine(path) == 0
    assert path.stat() == before
    assert not path.with_suffix(".bad").exists()


@pytest.mark.parametrize("cut", [1, 20, LINE - 1])
def test_a_torn_tail_is_moved_too(path, cut):
    whole = write(path, 1, 2)
    path.write_bytes(whole[:-cut])
    assert responses.quarantine(path) == 1
    assert path.read_bytes() + bad_of(path) == whole[:-cut]
    assert write(path, 2) == whole


def test_a_bad_header_is_moved_and_the_records_are_still_read(path):
    write(path, 1)
    path.write_bytes(path.read_bytes().replace(b"schema_version", b"schema_versiom", 1))
    assert responses.quarantine(path) == 1
    write(path, 2)
    log = responses.read(path.parent)
    assert (list(log.answers), log.bad) == (ids(1, 2), ())


def test_where_nothing_is_good_a_header_is_left(path):
    header = write(path)
    path.write_bytes(b"noise\n\xff\n")
    assert responses.quarantine(path) == 2
    assert path.read_bytes() == header


def test_a_file_that_is_being_written_is_left_alone(path):
    write(path, 1)
    damage(path, 1)
    with Writer(path) as writer:
        before = path.read_bytes()
        with pytest.raises(UserError, match="another process writes to it"):
            responses.quarantine(path)
        writer.append([record(2)])
        assert path.read_bytes().startswith(before)
    assert responses.quarantine(path) == 1


def test_a_file_that_was_replaced_before_it_was_locked_is_not_put_back(path, monkeypatch):
    write(path, 1, 2)
    damage(path, 1)
    real = fcntl.flock

    def late(file, how):
        monkeypatch.setattr(fcntl, "flock", real)
        responses.quarantine(path)
        write(path, 3)
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(UserError, match="another process writes to it"):
        responses.quarantine(path)
    assert list(responses.read(path.parent).answers) == ids(2, 3)
    assert bad_of(path).count(b"\n") == 1


# Answers are read from the disk when they are asked for


def test_answers_are_a_mapping_of_records(path):
    write(path, 1, 2)
    answers = responses.read(path.parent).answers
    assert len(answers) == 2
    assert list(answers) == ids(1, 2)
    assert {**answers} == {one.request_id: one for one in (record(1), record(2))}
    assert ids(1)[0] in answers
    assert ids(3)[0] not in answers
    assert 1 not in answers
    assert answers.get(ids(3)[0]) is None
    with pytest.raises(KeyError):
        answers[ids(3)[0]]


def test_answers_of_several_files_are_found_in_their_file(path):
    for number in range(4):
        responses.append(path.with_name(f"{number}.jsonl"), [record(number, str(number))])
    answers = responses.read(path.parent).answers
    assert [answers[one].answer for one in ids(*range(4))] == list("0123")


def test_what_is_appended_later_does_not_disturb(path):
    write(path, 1)
    answers = responses.read(path.parent).answers
    responses.append(path, [record(1, "new"), record(2)])
    assert list(answers.values()) == [record(1)]


def test_a_file_that_changes_meanwhile_is_a_fault_and_never_another_answer(path):
    for number in (1, 2, 3):
        responses.append(path, [record(number, f"answer {number}")])
    answers = responses.read(path.parent).answers
    lines = path.read_bytes().splitlines(keepends=True)
    # As long as it was, but each record where another one lay.
    path.write_bytes(b"".join([lines[0], *lines[2:], lines[1]]))
    for one in ids(1, 2, 3):
        with pytest.raises(RuntimeFault, match=r"run\.jsonl: changed while it was read: run"):
            answers[one]


def test_a_record_that_is_damaged_meanwhile_is_a_fault(path):
    write(path, 1)
    answers = responses.read(path.parent).answers
    damage(path, 1)
    with pytest.raises(RuntimeFault, match="changed while it was read"):
        answers[ids(1)[0]]


def test_files_are_closed_with_the_last_use(path):
    opened = Path("/proc/self/fd")
    if not opened.is_dir():
        pytest.skip("no list of open files on this system")
    write(path, 1)
    before = len(list(opened.iterdir()))
    for _ in range(20):
        assert dict(responses.read(path.parent).answers)
    assert len(list(opened.iterdir())) == before
