"""A real child process: answers while requests come, and faults that say what happened."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from process_lab import is_running, requests, starting

from bayling_eval import backends
from bayling_eval.backends import worker
from bayling_eval.backends.base import BackendSpec, Request
from bayling_eval.backends.faults import MEMORY_ADVICE
from bayling_eval.backends.process import EngineProcess
from bayling_eval.errors import RuntimeFault, UserError


@pytest.fixture
def log(tmp_path):
    return tmp_path / "deep" / "engine.log"


@pytest.fixture
def start(tmp_path, log, monkeypatch):
    yield from starting(tmp_path, log, monkeypatch)


# Answers


def test_the_answers_are_those_of_the_engine_in_this_process(log):
    spec = BackendSpec("echo", "any")
    asked = [
        *requests("say: one two", "", "line\nfeeds\r\n\x00 \u2028 \x85", "a lone \ud83d"),
        *requests("x" * 10**6),
        Request("ab" * 16, "loglikelihood", "", continuation=" \U0001f600"),
        Request("cd" * 16, "generate_until", '{"messages": []}', chat=True, gen_kwargs={"a": [1]}),
    ]
    with EngineProcess(spec, log) as engine:
        assert list(engine.answer(iter(asked))) == list(backends.load(spec).answer(iter(asked)))


def test_answers_come_while_requests_are_still_being_sent(start):
    answered = threading.Semaphore(0)

    def waiting():
        for request in requests("a", "b", "c"):
            yield request
            assert answered.acquire(timeout=10), "no answer before the next request"

    found = []
    for answer in start("echo").answer(waiting()):
        found.append(answer.answer)
        answered.release()
    assert found == ["a", "b", "c"]


def test_nothing_is_started_without_a_request(start, log):
    engine = start()
    assert list(engine.answer(requests())) == []
    engine.close()
    assert not log.exists()


def test_several_streams_are_served_by_one_process(start):
    engine = start()
    streams = [[a.answer for a in engine.answer(requests(*"ab"))] for _ in range(3)]
    (pid,) = {pid for stream in streams for pid in stream}
    assert [len(stream) for stream in streams] == [2, 2, 2]
    assert int(pid) != os.getpid()
    assert is_running(int(pid))
    engine.close()
    assert not is_running(int(pid))


def test_more_requests_than_are_read_ahead_and_a_slow_reader(start):
    many = worker._AHEAD + 2000
    answering = start("echo").answer(requests(*map(str, range(many))))
    next(answering)
    time.sleep(0.5)  # both pipes and the queue fill up
    assert [answer.answer for answer in answering] == [str(number) for number in range(1, many)]


def test_what_an_engine_prints_goes_to_the_log(start, log):
    found = list(start("Noisy").answer(requests("a", "b")))
    assert [answer.request_id for answer in found] == [f"{number:032x}" for number in (0, 1)]
    said = log.read_text()
    for line in ('{"end": true}', "{not JSON", "from a child"):
        assert said.count(line) == 2


def test_an_engine_cannot_read_the_requests_itself(start, log):
    found = list(start("Asks").answer(requests(*"abc")))
    assert len(found) == 3
    assert log.read_text() == "read ''\n" * 3


# Faults


@pytest.mark.parametrize(
    ("context", "how"),
    [
        ("die", "was killed by signal 9 (about to die;"),
        ("leave", "ended with 3 (about to leave;"),
        ("bug", "ended with 1 (ZeroDivisionError: the engine's own bug;"),
    ],
)
@pytest.mark.parametrize("more", [0, 20_000], ids=["all were sent", "more to send"])
def test_a_death_is_a_runtime_fault_that_says_how_and_where_the_log_is(
    start, log, context, how, more
):
    answering = start("Ends").answer(requests("a", "b", context, *("x" for _ in range(more))))
    pid = int(next(answering).answer)
    assert int(next(answering).answer) == pid
    with pytest.raises(RuntimeFault) as caught:
        next(answering)
    text = str(caught.value)
    assert f"the engine {how}" in text
    assert f"{log} has the rest" in text
    assert "\n" not in text
    assert caught.value.exit_code == 5
    assert not is_running(pid)


@pytest.mark.parametrize(
    ("context", "kind", "said"),
    [
        ("user", UserError, "unknown option 'x': leave it out"),
        ("fault", RuntimeFault, "out of memory with a single prompt: free memory"),
    ],
)
def test_faults_of_an_engine_keep_their_kind_and_words(start, context, kind, said):
    answering = start("Ends").answer(requests("a", context, *("x" for _ in range(20_000))))
    pid = int(next(answering).answer)
    with pytest.raises(kind) as caught:
        next(answering)
    assert (type(caught.value), str(caught.value)) == (kind, said)
    assert not is_running(pid)


def test_a_fault_that_points_at_the_log_is_told_from_the_log(start):
    answering = start("Ends").answer(requests("a", "memory"))
    next(answering)
    with pytest.raises(RuntimeFault) as caught:
        next(answering)
    said = "ValueError: No available memory for the cache blocks."
    assert str(caught.value) == f"{said}: {MEMORY_ADVICE}"
    assert "gpu_memory_utilization" in MEMORY_ADVICE


def test_a_checkpoint_that_cannot_be_loaded_is_a_user_error(start):
    with pytest.raises(UserError, match=r"^bad: no such checkpoint: name another$"):
        list(start(model="bad").answer(requests("a")))


def test_a_process_that_died_between_two_streams_is_a_runtime_fault(start):
    engine = start()
    (first,) = engine.answer(requests("a"))
    os.kill(int(first.answer), signal.SIGKILL)
    with pytest.raises(RuntimeFault, match=r"was killed by signal 9 \(nothing said;"):
        list(engine.answer(requests("b")))


@pytest.mark.parametrize("before", [0, 1, 5000])
def test_an_error_while_requests_are_made_is_raised(start, before):
    class MineError(Exception):
        pass

    def failing():
        yield from requests(*("x" for _ in range(before)))
        raise MineError

    engine = start()
    found = []
    with pytest.raises(MineError):
        found.extend(answer.answer for answer in engine.answer(failing()))
    assert all(not is_running(int(pid)) for pid in set(found))


# The protocol


def test_the_worker_writes_nothing_but_documents_to_stdout():
    asked = [request.__dict__ for request in requests("say: a", "say: b")]
    spec = {"backend": "echo", "model": "any"}
    lines = [spec, *asked, worker.END, asked[0], worker.END]
    done = subprocess.run(
        [sys.executable, "-m", "bayling_eval.backends.worker"],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    # It ends with its stdin, and may not get to what it has read ahead.
    expected = ["a", "b", None, "a", None]
    assert [one.get("answer") for one in found] == expected[: len(found)]
    assert (done.returncode, done.stderr) == (0, "")
