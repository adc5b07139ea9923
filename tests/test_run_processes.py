"""``bayling-eval run`` in processes of its own: what it imports, and several on one folder."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import SEGMENTS
from echo_lab import PAIRS, TASKS, Lab, Stops, flat

from bayling_eval import responses
from bayling_eval.errors import RuntimeFault
from bayling_eval.requests import Shard

CHECKOUT = Path(__file__).parent.parent
ALL = len(TASKS) * SEGMENTS


@pytest.fixture
def lab(tmp_path, small_data):
    return Lab(tmp_path, small_data)


def words(lab, *more, delay=0.0) -> list[str]:
    """Return the arguments of the run that ``lab.ask()`` makes."""
    suite = lab.results.parent / "suite.toml"
    suite.write_text(f'[[tasks]]\nuse = "flores200"\npairs = {json.dumps(PAIRS)}\n')
    arguments = f"trace={lab.trace},delay={delay}"
    named = ["--data", str(lab.data), "--results", str(lab.results), "--jobs", "1", "-q"]
    return ["run", str(suite), "--backend", "echo", "--model-args", arguments, *named, *more]


def start(lab, *more, delay=0.0, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bayling_eval", *words(lab, "--no-score", *more, delay=delay)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        **options,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return exit code and what was said on stderr."""
    out, err = process.communicate(timeout=60)
    assert out == ""
    return process.returncode, err


def records(lab) -> list[str]:
    """Return the request of every whole record of every file, with its repetitions."""
    lines = [
        line
        for file in sorted(lab.targets()[0].responses.glob("*.jsonl"))
        for line in file.read_bytes().splitlines(keepends=True)
    ]
    return [found.request_id for line in lines if (found := responses.decode(line))]


def files(lab) -> dict[Path, tuple[int, ...]]:
    """Return when each file was last written."""
    found = (path for path in lab.results.rglob("*") if path.is_file() and path.name != ".lock")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


LOADED = """
import sys
from bayling_eval.cli.main import main
code = main(sys.argv[1:])
print(code, *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_run_with_nothing_to_do_imports_neither_lm_eval_nor_an_engine(lab):
    first = subprocess.run(
        [sys.executable, "-m", "bayling_eval", *words(lab)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        check=True,
    )
    assert first.returncode == 0
    assert len(lab.asked()) == ALL
    before = files(lab)
    code = [sys.executable, "-c", LOADED, *words(lab)]
    again = subprocess.run(code, capture_output=True, text=True, check=True, cwd=CHECKOUT)
    returned, *loaded = again.stdout.split()
    assert returned == "0"
    assert not {"lm_eval", "torch", "transformers", "datasets", "jinja2"} & set(loaded)
    assert "bayling_eval" in loaded
    assert lab.asked() == []
    assert files(lab) == before


def test_of_two_runs_on_one_folder_the_second_ends_and_nothing_is_lost_or_doubled(lab):
    first = start(lab, delay=0.02)
    deadline = time.monotonic() + 60
    while len(records(lab)) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    # However slow the machine is, the first is in the middle of its work.
    first.send_signal(signal.SIGSTOP)
    try:
        there = records(lab)
        assert 3 <= len(there) < ALL
        code, said = ended(start(lab))
        assert (code, said.count("\n")) == (2, 1)
        assert "run.jsonl: another process writes to it: wait for it, then run again" in said
        assert records(lab) == there
    finally:
        first.send_signal(signal.SIGCONT)
    assert ended(first) == (0, "")
    assert Counter(records(lab)) == Counter(lab.asked()) == Counter(flat(lab.expected()))
    assert lab.unfinished() == []


def test_three_shards_at_once_after_a_power_cut_ask_the_rest_once_and_leave_a_whole_plan(lab):
    shards = [Shard(index, 3) for index in (1, 2, 3)]
    for shard in shards:
        with pytest.raises(RuntimeFault):
            lab.ask(shard=shard, engine=Stops(lab, 8))
        file = lab.targets()[0].responses / shard.writer
        file.write_bytes(file.read_bytes()[:-9])
    lab.asked()
    kept = records(lab)
    assert len(kept) == 3 * 7
    running = [start(lab, "--shard", f"{shard.index}/3", delay=0.01) for shard in shards]
    assert [ended(process) for process in running] == [(0, "")] * 3
    assert Counter(kept) + Counter(lab.asked()) == Counter(flat(lab.expected()))
    assert Counter(records(lab)) == Counter(flat(lab.expected()))
    assert lab.unfinished() == []
    assert lab.log().bad == ()
    assert len(list(lab.targets()[0].responses.glob("*.bad"))) == 3


def test_a_disk_that_fills_up_is_exit_5_and_a_run_with_room_goes_on(lab):
    room = 8000

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    code, said = ended(start(lab, preexec_fn=full))
    assert (code, said.count("\n")) == (5, 1)
    assert "run.jsonl: File too large: free the disk and run the same again" in said
    there = records(lab)
    assert 10 < len(there) < ALL
    (file,) = lab.targets()[0].responses.glob("*.jsonl")
    assert file.stat().st_size == room
    assert lab.unfinished() == TASKS
    # The one that did not fit was asked.
    assert lab.asked()[:-1] == there
    lab.ask()
    assert Counter(records(lab)) == Counter(there) + Counter(lab.asked())
    assert Counter(records(lab)) == Counter(flat(lab.expected()))
    assert lab.unfinished() == []
