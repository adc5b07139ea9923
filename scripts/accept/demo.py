"""`bayling-eval demo`: in minutes, and the page finds the two damaged languages and no other."""

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from common import cli, expect
from playwright.sync_api import sync_playwright

DAMAGED = {"cym_Latn", "tam_Taml"}
LIMIT_S = 300.0


def looked_at(page: Path, scheme: Literal["light", "dark"]) -> tuple[list[str], list[str]]:
    """Open the page in Chromium; return what axe-core finds, and what was asked for."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    expect(program is not None, "there is a Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(color_scheme=scheme)
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(page.resolve().as_uri())
        found = [one["id"] for one in Axe().run(tab).response["violations"]]
        browser.close()
    return found, [url for url in asked if not url.startswith("data:")]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        said = cli("demo", cwd=folder)
        took = time.monotonic() - started
        page = folder / said.strip().split("\n")[-1]
        # Not failed on: beside other work on two cores it took 9 minutes, alone 75 seconds.
        expect(page.is_file(), f"{page.name} after {took:.0f} s (wanted: {LIMIT_S:.0f} s)")
        text = page.read_text(encoding="utf-8")
        first = text[: text.index('id="overview"')]
        expect("These scores mean nothing" in first, "the page says that the scores mean nothing")
        report = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
        gates = {gate["gate"]: gate["outcome"] for gate in report["rules"]["gates"]}
        failing = [name for name, outcome in gates.items() if outcome != "pass"]
        expect(
            failing == ["regressions"] and "Not ready: 1 of 5 gates fails" in first,
            "of five gates the one that counts regressions fails: the means alone would pass",
        )
        rows = [row for row in report["rows"] if row["baseline"] == "demo-better"]
        for metric in ("chrf++", "chrf", "bleu"):
            own = [row for row in rows if row["metric"] == metric]
            worse = [row for row in own if row["verdict"] in ("regressed", "leans_down")]
            found = {row[side] for row in worse for side in ("src_lang", "tgt_lang")} - {"eng_Latn"}
            others = {row["verdict"] for row in own if row not in worse}
            expect(
                found == DAMAGED and others == {"no_change"},
                f"{metric}: of {len(own)} directions {len(worse)} regressed, "
                f"those of {', '.join(sorted(found))}; all others: no change",
            )
        for scheme in ("light", "dark"):
            faults, asked = looked_at(page, scheme)
            expect(asked == [page.resolve().as_uri()], f"{scheme}: the page asks for itself alone")
            expect(not faults, f"{scheme}: axe-core finds {len(faults)} violations")
        questions = {row["verdict"] for row in rows if row["metric"] == "acc"}
        expect(questions == {"no_change"}, "questions: no change")


if __name__ == "__main__":
    main()
