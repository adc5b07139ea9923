"""Pages in a real browser: what was asked of the network, and said to the console and the user.

PYTEST_DONT_REWRITE: the tests import it too, before pytest loads it as a plugin.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright
from report_lab import Invention, flores_pairs, invent

from bayling_eval.report import build

# Scripts of the languages of these pairs go both ways and need many fonts.
SCRIPTS = {
    "arb_Arab": ("ar", "rtl"),
    "heb_Hebr": ("he", "rtl"),
    "urd_Arab": ("ur", "rtl"),
    "tha_Thai": ("th", "ltr"),
    "khm_Khmr": ("km", "ltr"),
    "mya_Mymr": ("my", "ltr"),
    "bod_Tibt": ("bo", "ltr"),
    "amh_Ethi": ("am", "ltr"),
    "hin_Deva": ("hi", "ltr"),
    "tam_Taml": ("ta", "ltr"),
    "zho_Hans": ("zh-Hans", "ltr"),
    "jpn_Jpan": ("ja", "ltr"),
    "kor_Hang": ("ko", "ltr"),
}


@dataclass
class Visit:
    """One visit to a page."""

    page: Page
    path: Path
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Messages on the console, errors of scripts, dialogs."""

    def go(self, fragment: str) -> None:
        """Follow a link on the page."""
        self.page.evaluate("hash => { location.hash = hash; }", fragment)
        self.page.wait_for_function(
            "hash => location.hash === hash", arg=f"#{fragment.removeprefix('#')}"
        )
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => done()))")

    @property
    def fragment(self) -> str:
        """What stands in the address after the #."""
        return self.page.evaluate("location.hash.slice(1)")

    def shown(self) -> list[str]:
        """Return the ids of the rows of the first table that are not hidden, in their order."""
        return self.page.evaluate(
            "() => [...document.querySelector('.sortable').tBodies[0].rows]"
            ".filter(row => row.getClientRects().length).map(row => row.id)"
        )

    def covered(self, selector: str) -> bool:
        """Return whether the first line of an element is out of sight or under another one."""
        return self.page.evaluate(
            """selector => {
              const one = document.querySelector(selector);
              const box = one.getBoundingClientRect();
              const down = Math.min(12, box.height / 2);
              const hit = document.elementFromPoint(box.x + 12, box.y + down);
              return !(hit && (one.contains(hit) || hit.contains(one)) && hit.closest('main'));
            }""",
            selector,
        )

    def violations(self) -> str:
        """Return what axe-core finds."""
        return Axe().run(self.page).generate_snapshot()


@pytest.fixture(scope="session")
def chromium():
    """The system's Chromium; skipped where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium or google-chrome: install one to test pages in a browser")
    with sync_playwright() as playwright:
        # In a container there is no sandbox to be had; the pages are our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Return a function that opens a page; what it must never do is looked for at the end."""
    made = []

    def run(path: Path, fragment: str = "", script: str = "", **options) -> Visit:
        size = {"width": 1280, "height": 900}
        context = chromium.new_context(**{"viewport": size, "reduced_motion": "reduce", **options})
        if script:
            context.add_init_script(script)
        one = Visit(context.new_page(), path)
        made.append(one)
        one.page.on("request", lambda request: one.requests.append(request.url))
        one.page.on("console", lambda message: one.said.append(message.text))
        one.page.on("pageerror", lambda error: one.said.append(str(error)))
        one.page.on("dialog", lambda dialog: one.said.append(dialog.type) or dialog.dismiss())
        one.page.goto(f"{path.as_uri()}{fragment}")
        return one

    yield run
    for one in made:
        own = {one.path.as_uri(), "data:,"}
        assert {url.partition("#")[0] for url in one.requests} <= own
        assert one.said == []
        one.page.context.close()


def _written(folder: Path, what: Invention) -> Path:
    return build.write(invent(folder / "results", what), folder / "reports")


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Return a function that writes the page of an invention."""
    return lambda what: _written(tmp_path_factory.mktemp("page"), what)


@pytest.fixture(scope="session")
def many(written) -> Path:
    """A page of three systems and 404 directions."""
    return written(Invention())


@pytest.fixture(scope="session")
def some(written) -> Path:
    """A page of two systems and 48 directions, those of ``SCRIPTS`` among them."""
    others = ["ace_Arab", "ace_Latn", "sag_Latn", "tir_Ethi", "yor_Latn", "deu_Latn"]
    others += ["ces_Latn", "fra_Latn", "hau_Latn", "ibo_Latn", "ita_Latn"]
    pairs = [p for key in (*SCRIPTS, *others) for p in (("eng_Latn", key), (key, "eng_Latn"))]
    return written(Invention(("invented-new", "invented-old"), pairs, every=20))


@pytest.fixture(scope="session")
def few(written) -> Path:
    """A page of two systems and four directions."""
    return written(Invention(("invented-new", "invented-old"), flores_pairs(4)))
