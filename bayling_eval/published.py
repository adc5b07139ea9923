"""Published scores of baselines: numbers of papers, shown beside ours and never joined."""

import csv
import math
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from bayling_eval import languages, resources
from bayling_eval.errors import UserError, unknown

SUFFIX = "-published"


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """One printed number; ``value`` is on 0 to 100 whatever the metric.

    ``citation`` is short, the full one is under ``source`` in ``sources.toml``. ``table`` is the
    row or column of the source that prints the number. ``task`` and the languages are None for an
    average over languages.
    """

    source: str
    citation: str
    table: str
    system: str
    task: str | None
    family: str
    src_lang: str | None
    tgt_lang: str | None
    metric: str
    value: float
    note: str


COLUMNS = tuple(field.name for field in fields(PublishedScore))
_MAY_BE_EMPTY = {"task", "src_lang", "tgt_lang", "note"}


def load(folder: Path | None = None) -> tuple[PublishedScore, ...]:
    """Read every published score, in the order of files and lines.

    ``folder`` holds ``sources.toml`` and the CSV files that it names; the bundled one by default.
    A fault in a file is a UserError with its line.
    """
    folder = folder or resources.folder("published")
    listed = sources(folder)
    first: dict[tuple[str, ...], str] = {}
    scores: list[PublishedScore] = []
    for path in sorted(folder.glob("*.csv")):
        for where, score in _read(path):
            _check_source(score, path, listed, where)
            key = (score.source, score.system, score.task or score.family, score.metric)
            if key in first:
                raise UserError(f"the same number twice: {where} and {first[key]}; drop one line")
            first[key] = where
            scores.append(score)
    return tuple(scores)


def sources(folder: Path | None = None) -> dict[str, dict[str, str]]:
    """Return ``sources.toml``: source id -> file, citation, reference, url, licence.

    Raises:
        UserError: the file is absent, is no TOML, or an entry lacks a key.
    """
    path = (folder or resources.folder("published")) / "sources.toml"
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"no list of sources: {path}; README.md beside it says what it holds"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"bad TOML: {path}: {error}; mend that line") from None
    for source, entry in listed.items():
        for key in ("file", "citation", "reference", "url", "licence"):
            if not (isinstance(entry, dict) and isinstance(entry.get(key), str) and entry[key]):
                raise UserError(f"no {key!r}: {path}, [{source}]; add it as a string")
    return listed


def summary(folder: Path | None = None) -> list[dict[str, object]]:
    """Return one row a (source, system, metric): n numbers, families, citation, licence, url."""
    listed = sources(folder)
    scores = load(folder)
    counts = Counter((s.source, s.system, s.metric) for s in scores)
    families: dict[tuple[str, str, str], set[str]] = {}
    for s in scores:
        families.setdefault((s.source, s.system, s.metric), set()).add(s.family)
    return [
        {
            "source": source,
            "system": system,
            "metric": metric,
            "families": ",".join(sorted(families[source, system, metric])),
            "n": n,
            "citation": listed[source]["reference"],
            "licence": listed[source]["licence"],
            "url": listed[source]["url"],
        }
        for (source, system, metric), n in sorted(counts.items())
    ]


def _read(path: Path) -> Iterator[tuple[str, PublishedScore]]:
    """Yield ``file:line`` and the score of each line of one CSV file."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines, strict=True)
        try:
            header = next(rows, [])
            if tuple(header) != COLUMNS:
                raise _wrong_header(path, header)
            for row in rows:
                where = f"{path}:{rows.line_num}"
                yield where, _score(row, where)
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"bad CSV: {path}:{rows.line_num}: {error}; mend that line") from None


def _wrong_header(path: Path, header: list[str]) -> UserError:
    for name in header:
        if name not in COLUMNS:
            fault = unknown("column", name, COLUMNS)
            return UserError(f"{path}:1: {fault}")
    return UserError(f"wrong header: {path}:1; it must be {','.join(COLUMNS)}")


def _score(row: list[str], where: str) -> PublishedScore:
    if len(row) != len(COLUMNS):
        raise UserError(f"{len(row)} cells where {len(COLUMNS)} are due: {where}; mend that line")
    cells = dict(zip(COLUMNS, row, strict=True))
    for name, cell in cells.items():
        if cell != cell.strip() or not (cell or name in _MAY_BE_EMPTY):
            raise UserError(
                f"bad {name} {cell!r}: {where}; write it without blanks, or drop the line"
            )
    if not cells["metric"].endswith(SUFFIX):
        fault = f"metric {cells['metric']!r} does not end in {SUFFIX!r}"
        raise UserError(f"{fault}: {where}; a printed number has no signature, so rename it")
    _check_direction(cells, where)
    return PublishedScore(
        source=cells["source"],
        citation=cells["citation"],
        table=cells["table"],
        system=cells["system"],
        task=cells["task"] or None,
        family=cells["family"],
        src_lang=cells["src_lang"] or None,
        tgt_lang=cells["tgt_lang"] or None,
        metric=cells["metric"],
        value=_number(cells["value"], where),
        note=cells["note"],
    )


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise UserError(
            f"bad value {cell!r}: {where}; write a number from 0 to 100, or drop the line"
        )
    return value


def _check_direction(cells: dict[str, str], where: str) -> None:
    langs = [cells[name] for name in ("src_lang", "tgt_lang") if cells[name]]
    for lang in langs:
        if lang not in languages.table():
            raise UserError(f"{where}: {unknown('language', lang, languages.table())}")
    due = f"{cells['family']}_{'-'.join(langs)}"
    if langs and cells["task"] != due:
        raise UserError(
            f"task {cells['task']!r} does not fit the languages: {where}; write {due!r}"
        )


def _check_source(
    score: PublishedScore, path: Path, listed: dict[str, dict[str, str]], where: str
) -> None:
    entry = listed.get(score.source)
    if entry is None:
        raise UserError(f"{where}: {unknown('source', score.source, listed)} See sources.toml")
    for name, is_now in (("file", path.name), ("citation", score.citation)):
        if entry[name] != is_now:
            raise UserError(f"{name} {is_now!r}: {where}; sources.toml has {entry[name]!r}")
