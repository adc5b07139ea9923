"""What an output has that its reference has not, and the other way round.

Token by token: words and the spaces between them, or grapheme clusters of scripts that are written
without spaces. For display alone: scores are counted on the texts as they are.
"""

import difflib
import functools
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import regex
from markupsafe import Markup

from bayling_eval.report.texts import named

LEAST = 0.2
"""Share of tokens under which two texts are too different for a diff to be read."""
# Pairs of equal tokens: what one step of difflib looks at. With 15,000 the slowest texts found
# ("ab" repeated against "aab" repeated) take 30 ms, and 1,000 characters of Chinese have 3,000.
PAIRS = 15_000
"""Pairs of equal tokens of two texts over which these are not compared."""

_CLUSTER = regex.compile(r"\X")
# Word boundaries of UAX #29.
_WORD = regex.compile(r"(?wV1)\b")
_UNSPACED = regex.compile(
    r"(?V1)[\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}"
    r"\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]"
)
# Unicode has Burmese vowel signs and its visarga as clusters of their own, which alone are drawn on
# a dotted circle.
_MARK = regex.compile(r"\p{M}")
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
# Signs that look the same or nearly so, by what they are taken for: those of UTS #39's
# confusables.txt that outputs are seen to mix up, and that NFKC does not join. As escapes, since a
# reader could not tell them apart.
_LOOKALIKES = {
    # Persian kaf, yeh and heh, as in Arabic, Urdu, Uyghur and Kurdish; digits that look the same.
    "\u06a9": "\u0643",
    "\u06cc": "\u064a\u0649",
    "\u0647": "\u06c1\u06d5\u06be",
    "\u06f0\u06f1\u06f2\u06f3\u06f7\u06f8\u06f9": "\u0660\u0661\u0662\u0663\u0667\u0668\u0669",
    # Romanian s and t with a comma, written with a cedilla.
    "\u0218\u0219\u021a\u021b": "\u015e\u015f\u0162\u0163",
    # Latin letters, written with Cyrillic and with Greek ones.
    "aeopcyxijshd": "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501",
    "ABEKMHO": "\u0410\u0412\u0415\u041a\u041c\u041d\u041e",
    "PCTXIJS": "\u0420\u0421\u0422\u0425\u0406\u0408\u0405",
    "aiovpuy": "\u03b1\u03b9\u03bf\u03bd\u03c1\u03c5\u03b3",
    "ABEZHIK": "\u0391\u0392\u0395\u0396\u0397\u0399\u039a",
    "MNOPTYX": "\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    # Apostrophes, quotation marks, dashes, and the danda.
    "'": "\u2018\u2019\u02bc\u02bb\u02b9\u2032`",
    '"': "\u201c\u201d\u201e\u201f\u2033",
    "-": "\u2010\u2012\u2013\u2014\u2015\u2212",
    "|": "\u0964",
}
_PLAIN = {
    ord(sign): plain[place % len(plain)]
    for plain, signs in _LOOKALIKES.items()
    for place, sign in enumerate(signs)
}


@dataclass(frozen=True)
class Piece:
    """A stretch of the two texts."""

    kind: Literal["same", "alike", "changed"]
    """``alike`` differs in look-alike, invisible or compatibility characters, or in case alone."""
    missing: str
    """What the reference has."""
    inserted: str
    """What the output has."""


@dataclass(frozen=True)
class Diff:
    """An output against one reference."""

    pieces: tuple[Piece, ...]
    """Joined they are the two texts; ``same`` pieces are equal after NFC."""
    similarity: float
    """Twice the tokens in common over those of both texts, without spaces; 0 to 1."""

    @property
    def readable(self) -> bool:
        """Return whether the texts have enough in common for the diff to be read."""
        return self.similarity >= LEAST

    @property
    def alike(self) -> bool:
        """Return whether some pieces differ in look-alikes alone."""
        return any(piece.kind == "alike" for piece in self.pieces)

    @property
    def same(self) -> bool:
        """Return whether nothing differs."""
        return all(piece.kind == "same" for piece in self.pieces)


def tokens(text: str) -> list[str]:
    """Return a text in words, runs of spaces and single signs; joined they are the text.

    Of scripts without spaces (Thai, Lao, Khmer, Burmese, Tibetan, Han, kana) each grapheme cluster
    is a token. No cluster is ever split. Source of words: UAX #29.
    """
    clusters = _CLUSTER.findall(text)
    # One character a cluster: what follows in it (marks, joiners) is no reason to part words.
    bases = "".join(unicodedata.normalize("NFC", cluster)[0] for cluster in clusters)
    bounds = {match.start() for match in _WORD.finditer(bases)}
    bounds |= {match.start() + n for match in _UNSPACED.finditer(bases) for n in (0, 1)}
    bounds -= {match.start() for match in _MARK.finditer(bases)}
    found: list[str] = []
    for place, cluster in enumerate(clusters):
        if found and place not in bounds:
            found[-1] += cluster
        else:
            found.append(cluster)
    return found


@functools.lru_cache(maxsize=65_536)
def skeleton(token: str) -> str:
    """Return what a token has in common with its look-alikes.

    NFKC, case and invisible characters folded, and a small table of letters of other scripts and
    languages that look the same (in the sense of UTS #39): Persian and Arabic kaf and yeh, Latin,
    Cyrillic and Greek, dashes, quotation marks.
    """
    plain = unicodedata.normalize("NFKC", _IGNORABLE.sub("", token)).translate(_PLAIN)
    return unicodedata.normalize("NFKC", plain.casefold())


def compare(reference: str, output: str) -> Diff | None:
    """Compare an output with a reference; none where both repeat themselves too much for that."""
    ours, theirs = tokens(output), tokens(reference)
    keys = [skeleton(token) for token in theirs], [skeleton(token) for token in ours]
    counts = [Counter(key for key in side if not key.isspace()) for side in keys]
    if sum(n * counts[1][key] for key, n in counts[0].items()) > PAIRS:
        return None
    # Spaces are junk: they may go on with what is in common, but are no reason for it.
    matcher = difflib.SequenceMatcher(str.isspace, *keys, autojunk=False)
    pieces, common = [], 0
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal":
            pieces += [_piece(*pair) for pair in zip(theirs[a:a_end], ours[b:b_end], strict=True)]
            common += sum(not key.isspace() for key in keys[0][a:a_end])
        else:
            pieces.append(Piece("changed", "".join(theirs[a:a_end]), "".join(ours[b:b_end])))
    total = sum(map(Counter.total, counts))
    return Diff(
        tuple(_joined(_without_islands(_joined(pieces)))), 2 * common / total if total else 1
    )


def nearest(references: Sequence[str], output: str) -> tuple[int, Diff | None]:
    """Return which reference is nearest to an output, the first of equals, and the diff to it."""
    found = [compare(reference, output) for reference in references]
    near = [one.similarity if one else -1.0 for one in found]
    best = near.index(max(near))
    return best, found[best]


def marked(diff: Diff) -> Markup:
    """Return the output as safe HTML, with ``ins`` around what is new and ``del`` with the lost."""
    html = Markup("")
    for piece in diff.pieces:
        if piece.kind == "same":
            html += named(piece.inserted)
            continue
        # dir: without a direction of their own, signs of the text around would reorder them.
        kind = Markup(' class="alike"') if piece.kind == "alike" else ""
        for tag, text in (("del", piece.missing), ("ins", piece.inserted)):
            if text:
                html += Markup('<{0} dir="auto"{1}>{2}</{0}>').format(tag, kind, named(text))
    return html


def _piece(reference: str, output: str) -> Piece:
    same = unicodedata.normalize("NFC", reference) == unicodedata.normalize("NFC", output)
    return Piece("same" if same else "alike", reference, output)


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Join neighbours of a kind; words that are look-alikes stay one by one."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if last and piece.kind == last.kind != "alike":
            found[-1] = Piece(
                last.kind, last.missing + piece.missing, last.inserted + piece.inserted
            )
        else:
            found.append(piece)
    return found


def _without_islands(pieces: Sequence[Piece]) -> list[Piece]:
    """Take for changed what is in common by chance: spaces, or one cluster, between changes."""
    kinds = [None, *(piece.kind for piece in pieces), None]
    return [
        replace(piece, kind="changed")
        if kinds[place] == kinds[place + 2] == "changed" and _island(piece)
        else piece
        for place, piece in enumerate(pieces)
    ]


def _island(piece: Piece) -> bool:
    text = piece.inserted
    if piece.kind != "same" or text.isspace():
        return piece.kind == "same"
    return bool(_UNSPACED.match(text)) and len(tokens(text)) == 1
