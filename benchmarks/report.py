"""The page of 12 systems, 404 directions and 4 metrics: built, opened and sorted.

The systems are invented (`tests/report_lab.py`): what a page costs does not depend on what its
numbers are. Comparing is apart: `comparison.py`. With `--texts` each direction has so many segments
to choose samples from. Opening needs Chromium.

    python benchmarks/report.py [--systems 12] [--directions 404] [--texts 0]
"""

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from report_lab import Invention, Text, flores_pairs, invent

from bayling_eval.report import build

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


def built(folder: Path, systems: int, directions: int, segments: int) -> Path:
    pairs = flores_pairs(directions)
    names = tuple(f"system-{number}" for number in range(systems))
    what = Invention(systems=names, pairs=pairs, texts=texts(pairs, segments) if segments else None)
    report = invent(folder / "results", what)
    if os.fork() == 0:
        # Of this child alone: inventing takes memory too.
        started, before = time.monotonic(), time.process_time()
        page = build.write(report, folder / "reports")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        beside = sum(p.stat().st_size for p in (folder / "reports").rglob("samples/*.js"))
        print(
            f"built in {time.monotonic() - started:.1f} s ({time.process_time() - before:.1f} s of "
            f"CPU), {peak:.0f} MB; page {page.stat().st_size / 1e6:.2f} MB, samples beside it "
            f"{beside / 1e6:.2f} MB",
            flush=True,
        )
        os._exit(0)
    os.wait()
    return folder / "reports" / report.name / "index.html"


def opened(page: Path) -> None:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("no Chromium: the page was not opened")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        paints, sorts = [], []
        for _ in range(5):
            tab = browser.new_page(viewport={"width": 1280, "height": 1000})
            tab.goto(page.as_uri())
            paints += tab.evaluate(
                "performance.getEntriesByName('first-contentful-paint').map(one => one.startTime)"
            )
            sorts += tab.evaluate(SORT)
            tab.close()
        browser.close()
    print(
        f"first contentful paint {statistics.median(paints):.0f} ms (slowest {max(paints):.0f}), "
        f"sorting {statistics.median(sorts):.0f} ms (slowest {max(sorts):.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", type=int, default=12)
    parser.add_argument("--directions", type=int, default=404)
    parser.add_argument("--texts", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        opened(built(Path(folder), given.systems, given.directions, given.texts))


if __name__ == "__main__":
    main()
