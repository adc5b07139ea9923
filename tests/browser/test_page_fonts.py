"""Every script is drawn with a font that has its characters."""

import functools
import subprocess
import unicodedata

import pytest
from browser_lab import SCRIPTS
from fontTools.ttLib import TTCollection, TTFont
from report_lab import Invention, Text

pytest_plugins = ["browser_lab"]

# Language names as the languages write them: those of the table, and N'Ko, which it has not.
NKO = "ߒߞߏ"


@functools.cache
def characters(family: str) -> frozenset[int]:
    """Return the characters that the installed fonts of a family have."""
    command = ["fc-list", f":family={family}", "file"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: set[int] = set()
    for path in {line.split(":")[0] for line in listed.splitlines()}:
        fonts = TTCollection(path).fonts if path.endswith((".ttc", ".otc")) else [TTFont(path)]
        found |= {code for font in fonts for code in font.getBestCmap() or {}}
    return frozenset(found)


def drawn(session, selector: str) -> list[set[str]]:
    """Return the families that each element is drawn with."""
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    nodes = session.send("DOM.querySelectorAll", {"nodeId": root, "selector": selector})["nodeIds"]
    found = [session.send("CSS.getPlatformFontsForNode", {"nodeId": node}) for node in nodes]
    return [{font["familyName"] for font in one["fonts"] if font["glyphCount"]} for one in found]


@pytest.fixture(scope="session")
def spoken(written):
    """A page with names and one text of each language."""
    names = {"nqo_Nkoo": NKO}
    pairs = [("eng_Latn", key) for key in (*SCRIPTS, *names)]
    texts = {
        pair: [Text("source", "reference", (names.get(pair[1], "x"), "old"))] for pair in pairs
    }
    return written(Invention(("invented-new", "invented-old"), pairs, texts=texts))


def test_no_character_is_a_box(visit, spoken):
    page = visit(spoken).page
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    checked = 0
    for selector in ("#directions bdi.own", "#samples dd.text"):
        texts = page.locator(selector).all_text_contents()
        for text, families in zip(texts, drawn(session, selector), strict=True):
            wanted = {c for c in text if unicodedata.category(c)[0] not in "ZC"}
            have = frozenset().union(*map(characters, families))
            lacking = {c for c in wanted if ord(c) not in have}
            assert not lacking, f"{text} is drawn with {families}, which lacks {lacking}"
            checked += bool(wanted - set("abcdefghijklmnopqrstuvwxyz"))
    assert checked >= len(SCRIPTS) + 1


def test_a_text_of_a_language_that_no_table_has_finds_its_direction(visit, spoken):
    page = visit(spoken).page
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    text = page.locator("#samples dd.text", has_text=NKO)
    assert text.get_attribute("dir") == "auto"
    assert text.evaluate("one => getComputedStyle(one).direction") == "rtl"
