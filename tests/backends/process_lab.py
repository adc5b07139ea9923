"""Engine processes that several test files start: engines that misbehave, and whether one lives.

The engines are fakes in a file of the test's own; the worker that holds them is real.
"""

import os
import sys
import time
from pathlib import Path

from bayling_eval.backends import process
from bayling_eval.backends.base import BackendSpec, Request
from bayling_eval.backends.process import EngineProcess

FAKES = '''
import os, signal, subprocess, sys, time
from bayling_eval.backends.base import Answer
from bayling_eval.errors import RuntimeFault, UserError


class Engine:
    """Says its process's id."""

    def __init__(self, spec):
        if spec.model == "bad":
            raise UserError("bad: no such checkpoint: name another")

    def answer(self, requests):
        for request in requests:
            self.meet(request.context)
            yield Answer(request.request_id, str(os.getpid()), "stop", "digest")

    def meet(self, context):
        pass


class Noisy(Engine):
    def meet(self, context):
        print('{"end": true}')
        os.write(1, b"{not JSON\\n")
        subprocess.run(["echo", "from a child"], check=True)


class Asks(Engine):
    def meet(self, context):
        subprocess.run(["cat"], check=True, timeout=10)
        print("read", repr(sys.stdin.read()), file=sys.stderr, flush=True)


class Ends(Engine):
    def meet(self, context):
        print("about to", context, file=sys.stderr, flush=True)
        match context:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "leave":
                os._exit(3)
            case "bug":
                raise ZeroDivisionError("the engine's own bug")
            case "user":
                raise UserError("unknown option 'x': leave it out")
            case "fault":
                raise RuntimeFault("out of memory with a single prompt: free memory")
            case "hang":
                time.sleep(60)
            case "memory":
                # As vLLM's core does: kv_cache_utils.py and core.py of vllm/v1 (0.32).
                core = "(EngineCore pid=7) ERROR 11-21 13:40:20 [core.py:1510]"
                print(core, "EngineCore failed to start.", file=sys.stderr)
                said = "ValueError: No available memory for the cache blocks."
                print(core, said, file=sys.stderr, flush=True)
                raise RuntimeFault("vLLM cannot load m: Engine core initialization failed. See")
'''
DRIVER = """
import sys
sys.path.insert(0, {folder!r})
from bayling_eval import backends
from bayling_eval.backends import worker
backends.BACKENDS.update({{n: f"fake_engines:{{n}}" for n in ("Engine", "Noisy", "Asks", "Ends")}})
sys.exit(worker.main())
"""


def requests(*contexts):
    return (
        Request(f"{number:032x}", "generate_until", context, gen_kwargs={})
        for number, context in enumerate(contexts)
    )


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody asks for the exit status of an orphan, as in some containers, a zombie stays.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def ends_soon(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def starting(tmp_path, log, monkeypatch):
    """Make an engine process; the worker in it knows the engines that misbehave."""
    (tmp_path / "fake_engines.py").write_text(FAKES)
    (tmp_path / "driver.py").write_text(DRIVER.format(folder=str(tmp_path)))
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{tmp_path}/driver.py'\n")
    python.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(python))
    made = []

    def make(name="Engine", model="any", **model_args):
        made.append(EngineProcess(BackendSpec(name, model, model_args=model_args), log))
        return made[-1]

    yield make
    for engine in made:
        engine.kill()
