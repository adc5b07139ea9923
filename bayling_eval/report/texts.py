"""Texts that somebody else wrote, as safe HTML.

Texts are never stripped or repaired; what a reader could not see is shown by name.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable

import regex
from markupsafe import Markup, escape

from bayling_eval.graphemes import cut

SHOWN = 2_000
"""Characters of a text that are shown."""

# ZWJ, ZWNJ and variation selectors are part of how many scripts and emoji are written.
_HIDDEN = regex.compile(
    r"(?V1)([[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Noncharacter_Code_Point}"
    r"\p{Default_Ignorable_Code_Point}]--[\u200C\u200D\u17B4\u17B5\p{Variation_Selector}]])\1*"
)
_SHORT = {
    0x00: "NUL",
    0x08: "BS",
    0x09: "TAB",
    0x0A: "LF",
    0x0D: "CR",
    0x1B: "ESC",
    0x7F: "DEL",
    0x85: "NEL",
    0xAD: "SHY",
    0x61C: "ALM",
    0x200B: "ZWSP",
    0x200E: "LRM",
    0x200F: "RLM",
    0x2028: "LS",
    0x2029: "PS",
    0x202A: "LRE",
    0x202B: "RLE",
    0x202C: "PDF",
    0x202D: "LRO",
    0x202E: "RLO",
    0x2060: "WJ",
    0x2066: "LRI",
    0x2067: "RLI",
    0x2068: "FSI",
    0x2069: "PDI",
    0xFEFF: "BOM",
}
_BREAKS = "\n\t"
# bdi: the Latin letters of a chip must not decide the direction of the text around (dir=auto).
_CHIP = Markup('<bdi class="chip" title="{}">{}</bdi>')
_NOTE = Markup('<bdi class="none">{}</bdi>')


def visible(text: object, limit: int = SHOWN) -> Markup:
    """Return a text as safe HTML: escaped, hidden characters as named chips, cut after ``limit``.

    Hidden are control characters, bidirectional controls, zero-width and other invisible ones; not
    ZWJ, ZWNJ and variation selectors, which are spelling. A text is cut between grapheme clusters.
    """
    whole = str(text)
    shown = cut(whole, limit)
    return named(shown) + not_shown(len(whole) - len(shown))


def paragraphs(text: str, limit: int = SHOWN) -> Markup:
    """Return a text of several lines as safe HTML: their ends are no finding, and have no chips."""
    shown = cut(text, limit)
    html = Markup("\n").join(named(line) for line in shown.split("\n"))
    return html + not_shown(len(text) - len(shown))


def output(text: str) -> Markup:
    """Return an output as safe HTML; one without anything to read says so."""
    if not text:
        return _NOTE.format("(empty)")
    if not text.strip():
        return visible(text) + _NOTE.format("(only white space)")
    return visible(text)


def named(text: str) -> Markup:
    """Return a text of any length as safe HTML, hidden characters as named chips."""
    html, last = Markup(""), 0
    for match in _HIDDEN.finditer(text):
        html += escape(text[last : match.start()]) + _chip(match.group())
        last = match.end()
    return html + escape(text[last:])


def not_shown(characters: int) -> Markup:
    """Return the note of how much of a text was cut; nothing where nothing was."""
    if not characters:
        return Markup("")
    return _NOTE.format(f" … {characters:,} more characters are not shown")


def direction(text: str) -> str:
    """Return ``rtl`` or ``ltr``, which the first strong character of a text says.

    Source: UAX #9, rules P2 and P3, as in HTML's ``dir=auto``.
    """
    strong = (unicodedata.bidirectional(character) for character in text)
    return "rtl" if next((s for s in strong if s in ("L", "R", "AL")), "L") != "L" else "ltr"


def ids(prefix: str, texts: Iterable[str]) -> list[str]:
    """Return an id for each text that is safe in a URL and the same in every report, each once."""
    used: dict[str, None] = {}
    for text in texts:
        stem = f"{prefix}-{re.sub(r'[^A-Za-z0-9_.-]', '_', text)[:100]}"
        numbered = (f"{stem}-{n}" for n in itertools.count(2))
        used[next(name for name in itertools.chain([stem], numbered) if name not in used)] = None
    return list(used)


def _chip(run: str) -> Markup:
    code = ord(run[0])
    short = _SHORT.get(code, f"U+{code:04X}")
    name = f"U+{code:04X} {unicodedata.name(run[0], '')}".rstrip()
    times = f" ×{len(run)}" if len(run) > 1 else ""
    return _CHIP.format(name, short + times) + (run if run[0] in _BREAKS else "")
