"""A report of small systems, and a page as a list of elements; a plugin of the report's tests.

PYTEST_DONT_REWRITE: the tests import it too, before pytest loads it as a plugin.
"""

import json
import re
from html.parser import HTMLParser

import pytest
from conftest import sentences, spoil, write_lines

from bayling_eval import evaluate, plan, store
from bayling_eval.cli.main import main
from bayling_eval.imports import import_outputs
from bayling_eval.report.figures import svg

DIRECTIONS = {
    "eng_Latn-deu_Latn": "deu_Latn",
    "deu_Latn-eng_Latn": "eng_Latn",
    "eng_Latn-zho_Hans": "zho_Hans",
    "eng_Latn-tha_Thai": "tha_Thai",
    "tha_Thai-eng_Latn": "eng_Latn",
    "zho_Hans-eng_Latn": "eng_Latn",
    "deu_Latn-zho_Hans": "zho_Hans",
}
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><svg/onload=alert(1)>",
    '"><img src=http://example.org onerror=alert(1)>',
    "{{7*7}}{% include 'x' %}",
    "abc\u202edef",
    "\u200bnul\x00end\ufeff",
    "",
    "   ",
    "x" * 100_000,
]
NOT_THIRD = "eng_Latn-zho_Hans"
VOID = {"meta", "link", "br", "input"}
TRIALS = 2_000


class Page(HTMLParser):
    """A page as a list of elements and the text of each; unclosed elements are a fault."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.blocks: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"{tag}: an attribute stands there twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("style", "script"):
            self.blocks[self.open[-1]] = self.blocks.get(self.open[-1], "") + data
        else:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.tags if attrs.get(name) is not None]


def table_rows(text: str) -> list[str]:
    """Return the markup of each row of the per-direction table."""
    return re.findall(r'<tr id="dir-.*?</tr>', text, re.DOTALL)


@pytest.fixture(autouse=True)
def quick_pdfs(monkeypatch):
    """Figures as PDF take most of the time of a report: one test alone writes them for real."""
    monkeypatch.setattr(svg, "_pdf", lambda figure: b"%PDF-")


@pytest.fixture
def documents_known() -> bool:
    """Whether the benchmark says which document a segment is of: ten are few for a test."""
    return False


@pytest.fixture
def results(tmp_path, small_data, documents_known):
    """Three systems: `new` loses into German, wins into Thai, lacks Thai to English."""
    if not documents_known:
        (small_data / "flores200" / "flores200_dataset" / "metadata_devtest.tsv").unlink()
    new, old = {"deu_Latn": 2, "tha_Thai": 30}, {"deu_Latn": 30, "tha_Thai": 2}
    systems = {
        "new": {p: spoil(sentences(t), new.get(t, 5)) for p, t in DIRECTIONS.items()},
        "old": {p: spoil(sentences(t), old.get(t, 5)) for p, t in DIRECTIONS.items()},
        "third": {p: spoil(sentences(t), 3) for p, t in DIRECTIONS.items() if p != NOT_THIRD},
    }
    del systems["new"]["tha_Thai-eng_Latn"]
    hostile = spoil(sentences("zho_Hans"), 5)
    systems["new"]["eng_Latn-zho_Hans"] = [*HOSTILE, *hostile[len(HOSTILE) :]]
    chosen = plan.selected(plan.load("flores200"))
    for name, outputs in systems.items():
        for pair, lines in outputs.items():
            write_lines(tmp_path / name / f"{pair}.txt", lines)
        import_outputs(tmp_path / "results", name, chosen, tmp_path / name, small_data)
        for cell in store.find(tmp_path / "results", name).cells():
            evaluate.score_cell(cell, evaluate.Order(data=small_data))
    return tmp_path / "results"


@pytest.fixture
def make(tmp_path, results):
    """Return a function that writes a report; it returns the exit code and the page."""

    def run(*words: object, candidate="new", baselines=("old",), name="r"):
        systems = [word for spec in baselines for word in ("--baseline", spec)]
        command = ["report", name, "--candidate", candidate, *systems, "--trials", TRIALS]
        command += ["--results", results, "--reports", tmp_path / "reports", "-q", *words]
        code = main([str(word) for word in command])
        return code, (tmp_path / "reports" / name / "index.html").read_text(encoding="utf-8")

    return run


@pytest.fixture
def page(make) -> str:
    return make(baselines=("old", "third"))[1]


@pytest.fixture
def document(tmp_path, page):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    text = (tmp_path / "reports" / "r" / "report.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=refuse)
