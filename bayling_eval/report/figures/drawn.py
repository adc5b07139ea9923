"""What figures are made of, and how they call things."""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bayling_eval.aggregate import Line
from bayling_eval.compare import Comparisons
from bayling_eval.gate.words import visible
from bayling_eval.graphemes import cut
from bayling_eval.macro import group_of, language_of
from bayling_eval.records import Comparison
from bayling_eval.report import view

NAME = 34
"""Characters of a language or system in a figure."""


@dataclass(frozen=True)
class Drawn:
    """What the page knows."""

    metric: str
    """Headline metric."""
    names: tuple[str, ...]
    """Candidate, then baselines, the deciding one first."""
    pairs: tuple[Comparisons, ...]
    """The candidate against each baseline, in the same order."""
    lines: Mapping[str, Sequence[Line]]
    """Per metric with a table: its lines."""
    row_ids: Mapping[str, str]
    """Id of its row in the page, by task."""

    @property
    def rows(self) -> list[Comparison]:
        """Directions against the deciding baseline, in the headline metric, worst first."""
        return [
            row
            for row in self.pairs[0].rows
            if row.metric == self.metric and row.src_lang and row.tgt_lang
        ]


def short(text: object, limit: int = NAME) -> str:
    """Return a text as one harmless line of at most ``limit`` characters and an ellipsis."""
    whole = str(text)
    kept = cut(whole, limit)
    shown = cut(visible(kept), limit)
    return shown if kept == whole and shown == visible(kept) else f"{shown}…"


def language(key: str | None) -> str:
    """Return the English name of a language; a key that is not known as it is."""
    found = view.tongue(key)
    return short(found.name) if found else "no language"


def labels(keys: Iterable[str | None]) -> dict[str | None, str]:
    """Return what to call each language: its name, with the key where two have the same."""
    names = {key: language(key) for key in keys}
    own = list(names.values())
    return {
        key: f"{name} {short(key, 10)}" if own.count(name) > 1 else name
        for key, name in names.items()
    }


def side(row: Comparison) -> tuple[str, str]:
    """Return the benchmark and side that a direction is of: ``flores200``, ``eng_Latn-x``."""
    return row.family, group_of(row.src_lang, row.tgt_lang)


def named(row: Comparison) -> str:
    """Return what a row is called wherever it stands: ``English → Czech``."""
    return short(view.name_of(row), 2 * NAME + 3)


def about(row: Comparison) -> str:
    """Return what a direction is about beside the others of its side: a language, or both."""
    if group_of(row.src_lang, row.tgt_lang) == "other":
        return f"{row.src_lang}-{row.tgt_lang}"
    return str(language_of(row))


def side_title(name: str) -> str:
    """Return a side in words: ``English → X``."""
    if name.startswith("x-"):
        return f"X → {view.PIVOTS.get(name[2:], name[2:])}"
    if name.endswith("-x"):
        return f"{view.PIVOTS.get(name[:-2], name[:-2])} → X"
    return "Other directions"


def safe(*parts: str) -> str:
    """Return a name of a file: one that had to be changed ends in a checksum of what it was."""
    words = "-".join(parts)
    kept = re.sub(r"[^A-Za-z0-9_-]", "_", words)[:80]
    return kept if kept == words else f"{kept}-{zlib.crc32(words.encode('utf-8', 'replace')):08x}"


def factor(metric: str) -> float:
    """Return 100 where the page shows a metric in percent points, else 1."""
    return 100.0 if view.effect(metric, 1).endswith(" pp") else 1.0


def unit(metric: str) -> str:
    """Return what differences are counted in: ``chrF++``, ``percent points of Accuracy``."""
    title = short(view.title(metric))
    return f"{title}, percent points" if factor(metric) > 1 else title


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign."""
    text = f"{value:+.{digits}f}"
    return ("0" + text[2:] if float(text) == 0 else text).replace("-", "\N{MINUS SIGN}")


def counted(rows: Iterable[Comparison]) -> str:
    """Return how many rows have which verdict, in words: ``2 regressed, 3 improved``."""
    found = [row.verdict for row in rows]
    return ", ".join(f"{found.count(v)} {word}" for v, word in view.WORDS.items() if v in found)


def plural(count: int, noun: str) -> str:
    """Return a number of things: ``1 mean``, ``2 means``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], limit: int = 10) -> str:
    """Return some names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
