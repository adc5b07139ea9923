"""N-gram matches of many segments at once, the same integers as sacrebleu's, in numpy alone.

An n-gram with a symbol that the references lack matches nothing. So the symbols of the references
of 512 segments are numbered from 1, all others are 0, and what begins at one place of a text, up to
the highest order, is one integer: segment, numbers, text. Where there are too many symbols for
that, each segment numbers its own. Once the integers are sorted, equal n-grams of every order stand
side by side. Nothing is hashed: symbols are equal where Python says so, as for sacrebleu, which
counts the n-grams in dicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

Symbols = Sequence[str]
"""What a text is made of: its characters (a string) or its words (a list)."""
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

_SEGMENT_BITS = 9
_BLOCK = 1 << _SEGMENT_BITS
_KEY_BITS = 64


# glibc gives large arrays back to the system when they are freed, and new ones are cleared page by
# page, which takes half of the time of counting: but not after a block of this size was freed once
# (mallopt(3), M_MMAP_THRESHOLD).
np.empty(1 << 24, dtype=np.uint8)


class _Letters:
    """Numbers of characters, from 1; all of a text are looked up at once."""

    def __init__(self, texts: Sequence[str]) -> None:
        points = np.unique(_points(texts))
        self.size = len(points)
        # The last place is that of all characters beyond.
        self._table = np.zeros(int(points.max(initial=0)) + 2, dtype=np.uint32)
        self._table[points] = np.arange(1, self.size + 1)

    def numbers(self, texts: Sequence[str]) -> npt.NDArray[np.uint32]:
        found: npt.NDArray[np.uint32] = self._table.take(_points(texts), mode="clip")
        return found


class _Words:
    """Numbers of any other symbols, from 1."""

    def __init__(self, texts: Sequence[Symbols]) -> None:
        self._table = {word: n for n, word in enumerate(dict.fromkeys(chain(*texts)), 1)}
        self.size = len(self._table)

    def numbers(self, texts: Sequence[Symbols]) -> npt.NDArray[np.uint32]:
        found = map(self._table.get, chain(*texts), repeat(0))
        return np.fromiter(found, dtype=np.uint32, count=sum(map(len, texts)))


class _Own:
    """Numbers of each segment's symbols, from 1, where those of all segments are too large."""

    def __init__(self, references: Sequence[tuple[Keys, Keys]], segments: int, size: int) -> None:
        self._size = size
        self._pairs = np.unique(np.concatenate([self._paired(*one) for one in references]))
        every = np.arange(segments, dtype=np.uint64)
        # Each segment begins with the 0 after a text.
        self._firsts = np.searchsorted(self._pairs, self._paired(every, np.zeros_like(every)))

    def fit(self, bits: int) -> npt.NDArray[np.bool_]:
        """Return which segments have no more symbols than fit."""
        found: npt.NDArray[np.bool_] = np.diff(self._firsts, append=len(self._pairs)) <= 1 << bits
        return found

    def numbers(self, segments: Keys, symbols: Keys, bits: int) -> Keys:
        wanted = self._paired(segments, symbols)
        places = np.searchsorted(self._pairs, wanted)
        found = (places - self._firsts[segments]).astype(np.uint64)
        known = self._pairs.take(places, mode="clip") == wanted
        return np.where(known & (found >> bits == 0), found, 0)

    def _paired(self, segments: Keys, symbols: Keys) -> Keys:
        found: Keys = segments * (self._size + 1) + symbols
        return found


@dataclass(frozen=True)
class _Block:
    """The references of up to 512 segments."""

    symbols: _Letters | _Words
    own: _Own | None
    """None where the numbers of all symbols fit."""
    keys: Keys
    """What begins at each place of each reference, sorted."""


@dataclass(frozen=True, eq=False)
class Index:
    """One or more references of many segments, ready to be matched."""

    order: int
    """Highest order of the n-grams."""
    texts: int
    """References a segment."""
    lengths: Ints
    """Symbols of each reference, shape (references, segments)."""
    fits: npt.NDArray[np.bool_]
    """Whether a segment's symbols can be numbered; the others have no matches here."""
    blocks: tuple[_Block, ...]
    """The segments in order, 512 by 512."""

    @property
    def bits(self) -> int:
        """Bits of a symbol's number: 9 with order 6, 13 with order 4, with one reference."""
        return (_KEY_BITS - _SEGMENT_BITS - self.texts.bit_length()) // self.order


def index(references: Sequence[Sequence[Symbols]], order: int) -> Index:
    """Prepare references, each a sequence of segments, for n-grams up to an order."""
    lengths = np.array([list(map(len, texts)) for texts in references], dtype=np.int64)
    found = Index(order, len(references), lengths, np.ones(lengths.shape[1], dtype=np.bool_), ())
    blocks = []
    for start in range(0, len(found.fits), _BLOCK):
        part = slice(start, start + _BLOCK)
        blocks.append(_block([texts[part] for texts in references], found))
        if own := blocks[-1].own:
            found.fits[part] = own.fit(found.bits)
    return replace(found, blocks=tuple(blocks))


def matches(found: Index, outputs: Sequence[Symbols]) -> Ints:
    """Count the n-grams of each output that some reference has, at most as often as any has them.

    Returns:
        Shape (segments, order).
    """
    parts = []
    for number, block in enumerate(found.blocks):
        texts = outputs[number * _BLOCK : (number + 1) * _BLOCK]
        own = _sorted(_keys(texts, block, 0, found))
        # Two sorted runs: a stable sort merges them in one pass, in a tenth of the time.
        merged = _sorted(np.concatenate([own, block.keys]))
        parts.append(_matches(merged, found, len(texts)))
    return np.concatenate(parts) if parts else np.zeros((0, found.order), dtype=np.int64)


def totals(lengths: Ints, order: int) -> Ints:
    """Return how many n-grams of orders 1 to ``order`` texts have; shape (..., order)."""
    found: Ints = np.maximum(lengths[..., None] - np.arange(order), 0)
    return found


def _block(references: Sequence[Sequence[Any]], found: Index) -> _Block:
    texts = list(chain(*references))
    letters = all(isinstance(text, str) for text in texts)
    symbols = _Letters(texts) if letters else _Words(texts)
    own = None
    if symbols.size >> found.bits:
        places = [_places(one, symbols) for one in references]
        own = _Own(places, len(references[0]), symbols.size)
    block = _Block(symbols, own, np.zeros(0, dtype=np.uint64))
    keys = [_keys(one, block, number, found) for number, one in enumerate(references, 1)]
    return replace(block, keys=_sorted(np.concatenate(keys)))


def _keys(texts: Sequence[Any], block: _Block, number: int, found: Index) -> Keys:
    """Return segment, numbers and text of each place that has a number."""
    segments, symbols = _places(texts, block.symbols)
    if block.own:
        symbols = block.own.numbers(segments, symbols, found.bits)
    keys, following = segments << found.bits | symbols, symbols
    for distance in range(1, found.order):
        shifted = np.zeros_like(symbols)
        shifted[:-distance] = symbols[distance:]
        # After a symbol without a number comes nothing that could match.
        following = np.where(following == 0, 0, shifted)
        keys = keys << found.bits | following
    chosen: Keys = keys[symbols != 0] << found.texts.bit_length() | number
    return chosen


def _places(texts: Sequence[Any], symbols: _Letters | _Words) -> tuple[Keys, Keys]:
    """Return the segment and the number of all symbols, and of a 0 after each text."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1
    segments = np.repeat(np.arange(len(texts), dtype=np.uint64), lengths)
    numbers, within = np.zeros_like(segments), np.ones(len(segments), dtype=np.bool_)
    within[np.cumsum(lengths) - 1] = False
    numbers[within] = symbols.numbers(texts)
    return segments, numbers


def _points(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    """Return the code points of all characters."""
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _sorted(keys: Keys) -> Keys:
    """Sort; ``stable`` sees runs that are sorted, here each segment's, and is 3 times as fast."""
    return np.sort(keys, kind="stable")


def _matches(keys: Keys, found: Index, segments: int) -> Ints:
    """Count matches from the sorted keys of outputs and references, from the highest order down."""
    tag_bits, bits = found.texts.bit_length(), found.bits
    tags = keys & ((1 << tag_bits) - 1)
    # How many each text has up to each place and with it; in 4 bytes it is a quarter faster.
    until = [np.cumsum(tags == number, dtype=np.int32) for number in range(found.texts + 1)]
    edges = np.arange(segments + 1, dtype=np.uint64)
    grams = keys >> tag_bits
    counts = np.zeros((segments, found.order), dtype=np.int64)
    for order in range(found.order, 0, -1):
        ends = np.flatnonzero(np.append(grams[1:] != grams[:-1], len(grams) > 0))
        grams, until = grams[ends], [one[ends] for one in until]
        own, *theirs = (np.diff(one, prepend=np.int32(0)) for one in until)
        common = np.minimum(own, np.maximum.reduce(theirs))
        common *= (grams & ((1 << bits) - 1)) != 0  # else it is shorter than the order
        counts[:, order - 1] = np.diff(
            _summed(common)[np.searchsorted(grams, edges << (bits * order))]
        )
        grams = grams >> bits
    return counts


def _summed(values: npt.NDArray[Any]) -> Ints:
    """Return the sum of what stands before each place, and before the end."""
    found = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=found[1:])
    return found
