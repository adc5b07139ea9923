"""Published scores of baselines: numbers of papers, shown beside ours and never joined."""

import csv
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from bayling_eval import languages, resources
from bayling_eval.errors import UserError, unknown

SUFFIX = "-published"
ALL = "all"
"""Names every published system."""
# A mean of BLEU or TER over languages mixes tokenizers.
_NEVER_AVERAGED = {"bleu-published", "ter-published"}


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """One printed number; ``value`` is on 0 to 100 whatever the metric.

    ``citation`` and ``licence`` are short, the full ones are under ``source`` in ``sources.toml``.
    ``table`` is the row or column of the source that prints the number. ``task`` and the languages
    are None for an average over languages.
    """

    source: str
    citation: str
    table: str
    licence: str
    system: str
    task: str | None
    family: str
    src_lang: str | None
    tgt_lang: str | None
    metric: str
    value: float
    note: str


_ROW = (
    *("task", "src_lang", "tgt_lang", "system", "metric"),
    *("value", "citation", "table", "licence"),
)
COLUMNS = tuple(column.name for column in fields(PublishedScore))
_MAY_BE_EMPTY = {"task", "src_lang", "tgt_lang", "note"}


@dataclass(frozen=True, slots=True)
class GroupMean:
    """Mean of one system's published scores over a group of tasks, on 0 to 100."""

    group: str
    system: str
    metric: str
    value: float
    n: int | None
    """Tasks of the group with a published score; None where the source itself prints the mean."""
    n_expected: int | None
    """Tasks of the group."""
    citation: str
    table: str
    licence: str


@dataclass(frozen=True)
class Context:
    """Published scores of tasks that are compared: beside ours, never joined with them.

    A score belongs to a task by the task's exact name, so that one of Flores-101 never stands
    beside FLORES-200.
    """

    scores: Sequence[PublishedScore]
    """Scores of the tasks, and averages over languages of their families."""
    groups: Mapping[str, str]
    """Group by task, of the tasks that are averaged over."""
    absent: Mapping[str, Sequence[str]]
    """Systems that have no number here, and the families that they have numbers of."""

    @classmethod
    def of(
        cls,
        chosen: Sequence[PublishedScore],
        families: Mapping[str, str],
        groups: Mapping[str, str],
        metric: str | None = None,
    ) -> "Context":
        """Keep what belongs to the tasks, whose families and groups are given by task.

        ``metric`` is one of ours: where a published one is akin, the others are left out.
        """
        here = set(families.values())
        found = [s for s in chosen if s.task in families or (s.task is None and s.family in here)]
        systems = {s.system for s in found}
        pairs = dict.fromkeys((s.system, s.family) for s in chosen if s.system not in systems)
        absent = {name: [f for s, f in pairs if s == name] for name, _ in pairs}
        return cls(_akin(metric, found), groups, absent)

    def cells(self, tasks: Sequence[str]) -> list[dict[str, float | None]]:
        """Return one row a task: value by ``NLLB-200 spbleu-published``, None where not printed."""
        found = {(s.task, f"{s.system} {s.metric}"): s.value for s in self.scores if s.task}
        columns = list(dict.fromkeys(column for _, column in found))
        return [{column: found.get((task, column)) for column in columns} for task in tasks]

    def means(self) -> list[GroupMean]:
        """Return the mean of each group, system and metric, and the averages that were printed.

        BLEU and TER are never averaged over languages here.
        """
        members: dict[tuple[str, str, str], list[PublishedScore]] = {}
        for s in self.scores:
            group = self.groups.get(s.task or "")
            if group and s.metric not in _NEVER_AVERAGED:
                members.setdefault((group, s.system, s.metric), []).append(s)
        expected = Counter(self.groups.values())
        own = [_mean(key[0], found, expected[key[0]]) for key, found in sorted(members.items())]
        return [*own, *(_printed(s) for s in self.scores if s.task is None)]

    def document(self) -> dict[str, Any]:
        """Return what a JSON document says of published scores."""
        return {
            "published": [{name: getattr(s, name) for name in _ROW} for s in self.scores if s.task],
            "published_macro": [asdict(mean) for mean in self.means()],
            "citations": citations(self.scores),
        }


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
            # Not by source: two papers' numbers for one system have to be named apart.
            key = (score.system, score.task or score.family, score.metric)
            if key in first:
                raise UserError(f"the same number twice: {where} and {first[key]}; drop one line")
            first[key] = where
            scores.append(score)
    return tuple(scores)


def choose(names: Sequence[str], folder: Path | None = None) -> tuple[PublishedScore, ...]:
    """Return the scores of the systems named, in that order; those of every one for ``all``.

    Raises:
        UserError: no source has such a system.
    """
    if not names:
        return ()
    scores = load(folder)
    by_system: dict[str, list[PublishedScore]] = {}
    for s in scores:
        by_system.setdefault(s.system, []).append(s)
    for name in names:
        if name not in by_system and name != ALL:
            hint = "`bayling-eval ls published` lists them"
            raise unknown("published system", name, by_system, hint)
    if ALL in names:
        return scores
    return tuple(s for name in dict.fromkeys(names) for s in by_system[name])


def citations(scores: Sequence[PublishedScore], folder: Path | None = None) -> list[dict[str, Any]]:
    """Return one row a source of these scores: its full reference, licence, url and systems."""
    listed = sources(folder)
    systems: dict[str, dict[str, None]] = {}
    for s in scores:
        systems.setdefault(s.source, {})[s.system] = None
    keys = ("citation", "reference", "url", "licence", "notice")
    return [
        {"source": source, **{key: listed[source][key] for key in keys}, "systems": list(names)}
        for source, names in systems.items()
    ]


def sources(folder: Path | None = None) -> dict[str, dict[str, str]]:
    """Return ``sources.toml``: source id -> file, citation, reference, url, licence, notice.

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
        for key in ("file", "citation", "reference", "url", "licence", "notice"):
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
            "notice": listed[source]["notice"],
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
        clean = cell == cell.strip() and cell.isprintable()
        if not (clean and (cell or name in _MAY_BE_EMPTY)):
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
        licence=cells["licence"],
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
    given = {"file": path.name, "citation": score.citation, "licence": score.licence}
    for name, is_now in given.items():
        if entry[name] != is_now:
            raise UserError(f"{name} {is_now!r}: {where}; sources.toml has {entry[name]!r}")


def _akin(metric: str | None, scores: Sequence[PublishedScore]) -> Sequence[PublishedScore]:
    """Return the scores to show beside a metric of ours, all where no paper has one like it.

    ``spbleu-published`` is akin to ``spbleu-flores101``, ``comet-published`` to ``comet22``.
    """
    kin = [
        s
        for s in scores
        if metric
        and re.fullmatch(rf"{re.escape(s.metric.removesuffix(SUFFIX))}(-flores)?\d*", metric)
    ]
    return kin or scores


def _mean(group: str, found: Sequence[PublishedScore], expected: int) -> GroupMean:
    return replace(
        _printed(found[0]),
        group=group,
        value=fmean(s.value for s in found),
        n=len(found),
        n_expected=expected,
        table=", ".join(sorted({s.table for s in found})),
    )


def _printed(s: PublishedScore) -> GroupMean:
    group = f"{s.family} ({s.note})" if s.note else s.family
    return GroupMean(group, s.system, s.metric, s.value, None, None, s.citation, s.table, s.licence)
