"""A real child process: no way to end that leaves it behind."""

import os
import signal
import subprocess
import sys
import time

import pytest
from process_lab import ends_soon, is_running, requests, starting


@pytest.fixture
def log(tmp_path):
    return tmp_path / "deep" / "engine.log"


@pytest.fixture
def start(tmp_path, log, monkeypatch):
    yield from starting(tmp_path, log, monkeypatch)


def test_a_reader_that_stops_early_ends_the_process(start):
    answering = start().answer(requests("a", *("x" for _ in range(20_000))))
    pid = int(next(answering).answer)
    assert is_running(pid)
    answering.close()
    assert not is_running(pid)


def test_a_fault_of_the_reader_ends_the_process_while_it_works(start):
    class MineError(Exception):
        pass

    started = time.monotonic()
    answering = start("Ends").answer(requests("a", "hang"))
    pid = int(next(answering).answer)
    with pytest.raises(MineError):
        answering.throw(MineError())
    assert not is_running(pid)
    assert time.monotonic() - started < 10


def test_leaving_by_a_fault_ends_the_process_though_a_stream_is_open(start):
    engine = start("Ends")
    answering = engine.answer(requests("a", "hang"))
    pid = int(next(answering).answer)
    with pytest.raises(ZeroDivisionError), engine:
        raise ZeroDivisionError
    assert not is_running(pid)
    answering.close()


PARENT = """
import itertools, signal, sys
from pathlib import Path
from bayling_eval.backends.base import BackendSpec, Request
from bayling_eval.backends.process import EngineProcess

# Tests that a shell runs in the background ignore it, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
spec = BackendSpec("echo", "any", model_args={"delay": 0.02})
asked = (Request(f"{n:032x}", "generate_until", "x") for n in range(100_000))
with EngineProcess(spec, Path(sys.argv[1])) as engine:
    for number, answer in enumerate(engine.answer(asked)):
        if number == 0:
            print(engine._process.pid, flush=True)
"""


@pytest.fixture
def parent(tmp_path):
    """A process in a group of its own, as a terminal's, that has an engine's process at work."""
    words = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        child = int(running.stdout.readline())
        assert is_running(child)
        yield running, child
        running.kill()


def test_a_parent_that_is_killed_takes_the_engine_with_it(parent):
    running, child = parent
    running.kill()
    running.wait()
    assert ends_soon(child)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_parent_that_is_stopped_leaves_no_engine(parent, stop):
    running, child = parent
    os.killpg(running.pid, stop)
    _, said = running.communicate(timeout=10)
    assert running.returncode == -stop
    assert ends_soon(child)
    # Not the engine's traceback, and nothing about pipes.
    assert ("KeyboardInterrupt" in said) == (stop == signal.SIGINT)
    assert "BrokenPipe" not in said


def test_the_engine_outlives_a_ctrl_c_until_the_parent_ends_it(start, log):
    answering = start().answer(requests(*"ab"))
    pid = int(next(answering).answer)
    os.kill(pid, signal.SIGINT)
    assert int(next(answering).answer) == pid
    assert "KeyboardInterrupt" not in log.read_text()
