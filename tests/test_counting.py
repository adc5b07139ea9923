"""Counting for several cells: processes are kept, and what is given up is not counted."""

import os
import time

import pytest

from bayling_eval import counting
from bayling_eval.counting import Workers
from bayling_eval.metrics import Segments


def batch(n: int = 2) -> counting.Batch:
    return [("chrf", Segments("eng_Latn", ["a b"] * n, {"ref": ["a c"] * n}))]


def test_no_process_is_started_before_there_is_work():
    with Workers(2) as workers:
        assert workers._pool is None


def test_processes_are_kept_from_one_cell_to_the_next():
    with Workers(2) as workers:
        first = workers.submit(counting.count_task, batch()).result()
        pool = workers._pool
        again = workers.submit(counting.count_task, batch()).result()
        assert workers._pool is pool
        processes = list(pool._processes)
        assert 1 <= len(processes) <= 2
    assert first[0].values.tolist() == again[0].values.tolist()
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_what_waits_is_given_up_where_the_command_ends():
    started = time.monotonic()
    with Workers(2) as workers:
        waiting = [workers.submit(counting.count_task, batch(2_000)) for _ in range(400)]
    assert any(one.cancelled() for one in waiting)
    assert time.monotonic() - started < 60
