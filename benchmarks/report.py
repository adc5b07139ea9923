"""The page of 12 systems, 404 directions and 4 metrics: built, opened and sorted.

The systems are invented (`tests/report_lab.py`): what a page costs does not depend on what its
numbers are. Comparing is apart: `comparison.py`. With `--texts` each direction has so many segments
to choose samples from. Opening needs Chromium.

    python benchmarks/report.py [--systems 12] [--directions 404] [--texts 0]
"""

import argparse
import resource
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from report_lab import Invention, Text, flores_pairs, invent

from bayling_eval.report import build
from bayling_eval.report.contents import Report

WORDS = [
    "the",
    "river",
    "that",
    "had",
    "carried",
    "the",
    "village",
    "for",
    "years",
    "was",
    "now",
    "a",
    "road",
    "of",
    "stones",
    "and",
    "dust",
]
SORT = """() => {
  const buttons = [...document.querySelectorAll('.sortable th button')];
  return buttons.slice(2, 12).map((button) => {
    const start = performance.now();
    button.click();
    document.body.getBoundingClientRect();
    return performance.now() - start;
  });
}"""


def texts(pairs: list[tuple[str, str]], count: int) -> dict[tuple[str, str], list[Text]]:
    def line(pair: int, number: int, change: int) -> str:
        turned = WORDS[(pair + number) % len(WORDS) :] + WORDS[: (pair + number) % len(WORDS)]
        return " ".join([str(number), *turned[: len(turned) - change]])

    return {
        pair: [
            Text(line(0, n, 0), line(i, n, 0), (line(i, n, n % 5), line(i, n, n % 3)))
            for n in range(count)
        ]
        for i, pair in enumerate(pairs)
    }


def built(folder: Path, systems: int, directions: int, segments: int) -> tuple[Path, list[float]]:
    """Return the page, and what it took: seconds, CPU seconds and peak megabytes."""
    pairs = flores_pairs(directions)
    names = tuple(f"system-{number}" for number in range(systems))
    what = Invention(systems=names, pairs=pairs, texts=texts(pairs, segments) if segments else None)
    report = invent(folder / "results", what)
    # In a child of its own: inventing takes memory too.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_written, report, folder / "reports").result()


def _written(report: Report, reports: Path) -> tuple[Path, list[float]]:
    started, before = time.monotonic(), time.process_time()
    page = build.write(report, reports)
    took = [time.monotonic() - started, time.process_time() - before]
    return page, [*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]


def opened(page: Path) -> tuple[list[float], list[float]]:
    """Return the milliseconds of five first paints, and of sorting by each of ten columns."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("no Chromium: the page was not opened")
    paints: list[float] = []
    sorts: list[float] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(5):
            tab = browser.new_page(viewport={"width": 1280, "height": 1000})
            tab.goto(page.as_uri())
            paints += tab.evaluate(
                "performance.getEntriesByName('first-contentful-paint').map(one => one.startTime)"
            )
            sorts += tab.evaluate(SORT)
            tab.close()
        browser.close()
    return paints, sorts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", type=int, default=12)
    parser.add_argument("--directions", type=int, default=404)
    parser.add_argument("--texts", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="print five numbers and no words")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page, (wall, cpu, peak) = built(Path(folder), given.systems, given.directions, given.texts)
        size = page.stat().st_size / 1e6
        beside = sum(path.stat().st_size for path in page.parent.glob("samples/*.js")) / 1e6
        paints, sorts = opened(page)
    paint, sort = statistics.median(paints), statistics.median(sorts)
    if given.plain:
        print(wall, peak, size, paint, sort)
        return
    print(f"built in {wall:.1f} s ({cpu:.1f} s of CPU) with {peak:.0f} MB")
    print(f"page {size:.2f} MB, samples beside it {beside:.2f} MB")
    print(f"first paint {paint:.0f} ms (slowest {max(paints):.0f})")
    print(f"sorting {sort:.0f} ms (slowest {max(sorts):.0f})")


if __name__ == "__main__":
    main()
