"""The page of 12 systems, 404 directions and 4 metrics: within its budgets, and usable.

The systems are invented (`tests/report_lab.py`), for nobody has so many; what a page weighs and
takes does not depend on what its numbers are. Seconds are told and not failed on: other work may
run beside.
"""

import subprocess
import sys

from common import CHECKOUT, expect

BENCHMARK = CHECKOUT / "benchmarks" / "report.py"


def main() -> None:
    for words, budget in ((), 5.0), (("--texts", "100"), 8.0):
        command = [sys.executable, str(BENCHMARK), "--plain", *words]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        seconds, peak, page, paint, sort = map(float, said.split())
        what = "with samples" if words else "without samples"
        expect(page <= budget, f"{what}: the page has {page:.2f} MB (at most {budget:.0f})")
        expect(
            peak <= 2_000, f"built with {peak:.0f} MB of memory, in {seconds:.0f} s (wanted: 30)"
        )
        print(
            f"     first paint {paint:.0f} ms (wanted: 2000), sorting {sort:.0f} ms (wanted: 500)"
        )


if __name__ == "__main__":
    main()
