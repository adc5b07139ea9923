"""The only reader of benchmark files: the published layouts, or the hub when no folder is given.

A data folder holds one folder a family, each in the layout that its authors publish; the sample is
read from the package, whatever data folder is given. Lines are split at line feeds alone:
``str.splitlines`` also splits at U+2028 and U+0085, which texts hold.
"""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bayling_eval import hub, languages, resources
from bayling_eval.errors import UserError, unknown

SPLITS = {
    "flores101": "devtest",
    "flores200": "devtest",
    "ntrex128": "test",
    "sample": "test",
    "sample_questions": "test",
    "wmt22": "test",
    "xcopa": "test",
}
"""The split that a family's tasks are evaluated on."""

NOTICES = dict.fromkeys(
    ("sample", "sample_questions"),
    "the sample is 16 sentences a language, written for the demo and not reviewed by native "
    "speakers, and the demo's checkpoints were trained on it",
)
"""What a reader of scores must know first, by family."""

CHOICE_SPLITS = {"sample_questions": ("test",), "xcopa": ("val", "test")}
"""The splits of each multiple-choice benchmark, the evaluated one last."""

DEV_FAMILY, DEV_SPLIT = "flores200", "dev"
"""What no task is evaluated on: examples may be drawn from it."""

BUNDLED = frozenset({"sample", "sample_questions"})
"""The families that lie in the package: no data folder and no hub is asked for them."""


@dataclass(frozen=True)
class DataFile:
    """One benchmark file that was read."""

    path: str
    """Path below the data folder with forward slashes, or ``hub:ID/CONFIG/SPLIT@REVISION``."""
    rows: int
    """Number of rows without a header."""
    sha256: str
    """Digest of the bytes (local) or of the rows (hub)."""


@dataclass(frozen=True)
class Parallel:
    """One direction of a translation benchmark; all columns have the same length."""

    family: str
    """Name of the family, ``flores200``."""
    src_lang: str
    """Key of the source language."""
    tgt_lang: str
    """Key of the target language."""
    sources: tuple[str, ...]
    """Source segments, as published."""
    references: Mapping[str, tuple[str, ...]]
    """Reference segments by the benchmark's name of each; ``ref`` where it names none."""
    documents: tuple[str, ...] | None
    """Document of each segment, where the benchmark publishes it."""
    files: tuple[DataFile, ...]
    """The files that were read."""


@dataclass(frozen=True)
class Split:
    """The rows of one language of a benchmark in the schema of its hub data set."""

    rows: tuple[Mapping[str, Any], ...]
    """Rows in file order."""
    files: tuple[DataFile, ...]
    """The files that were read."""


@dataclass(frozen=True)
class _Pair:
    """Where the columns of a direction lie in the published layout."""

    source: Path
    references: Mapping[str, Path]
    documents: Path | None


def notices(families: Iterable[str]) -> list[str]:
    """Return what a reader of scores of these families must know first, each thing once."""
    return sorted({NOTICES[name] for name in families if name in NOTICES})


def data_folder(data: Path | None) -> Path | None:
    """Return the folder to read: the argument, else ``$BAYLING_DATA``, else none (the hub)."""
    if data is None and (named := os.environ.get("BAYLING_DATA")):
        data = Path(named)
    if data is not None and not data.is_dir():
        raise UserError(
            f"no data folder at {data}: give one with --data or $BAYLING_DATA, "
            "with one folder a benchmark family in it"
        )
    return data


def parallel(family: str, src_lang: str, tgt_lang: str, data: Path | None) -> Parallel:
    """Read one direction; ``data`` as returned by :func:`data_folder`.

    Raises:
        UserError: a language or file is not there, or two files differ in length.
    """
    data = _where(family, data)
    if data is None:
        return _hub_parallel(family, src_lang, tgt_lang, SPLITS[family])
    pair = pair_files(family, src_lang, tgt_lang, data)
    return _columns(family, src_lang, tgt_lang, pair, data)


def dev(src_lang: str, tgt_lang: str, data: Path | None) -> Parallel:
    """Read a direction of FLORES-200's ``dev``, which nothing is evaluated on; see `parallel`."""
    if data is None:
        return _hub_parallel(DEV_FAMILY, src_lang, tgt_lang, DEV_SPLIT)
    pair = _flores(data / DEV_FAMILY, DEV_FAMILY, src_lang, tgt_lang, DEV_SPLIT)
    for path in (pair.source, pair.references["ref"]):
        if not path.is_file():
            raise UserError(f"{path} is missing: put it there as it is published")
    return _columns(DEV_FAMILY, src_lang, tgt_lang, replace(pair, documents=None), data)


def _columns(family: str, src_lang: str, tgt_lang: str, pair: _Pair, data: Path) -> Parallel:
    source, source_file = _read(pair.source, data)
    if not source:
        raise UserError(f"{family}: {source_file.path} is empty: restore the published files")
    files = [source_file]
    references: dict[str, tuple[str, ...]] = {}
    for name, path in pair.references.items():
        references[name], file = _read(path, data)
        files.append(file)
    documents = None
    if pair.documents and pair.documents.is_file():
        documents, file = _documents(pair.documents, data)
        files.append(file)
    for file in files[1:]:
        if file.rows != source_file.rows:
            raise UserError(
                f"{family}: {file.path} has {file.rows} lines but {source_file.path} has "
                f"{source_file.rows} in {data}: restore the published files"
            )
    return Parallel(family, src_lang, tgt_lang, source, references, documents, tuple(files))


def choices(family: str, lang: str, split: str, data: Path | None) -> Split:
    """Read one language of a multiple-choice benchmark in its hub schema.

    Raises:
        UserError: the file is not there or a line of it is not a JSON object.
    """
    data = _where(family, data)
    if data is None:
        return _hub_choices(family, lang, split)
    path = choice_file(family, lang, split, data)
    lines, file = _read(path, data)
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise UserError(f"{path}:{number}: not JSON: restore the file") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: not a JSON object: restore the file")
        rows.append(row)
    return Split(tuple(rows), (file,))


def pair_files(family: str, src_lang: str, tgt_lang: str, data: Path) -> _Pair:
    """Return where a direction's files lie; every source and reference is checked to be there."""
    layout = _LAYOUTS.get(family)
    if layout is None:
        raise unknown("translation benchmark", family, _LAYOUTS)
    root = _family_folder(family, data)
    pair = layout(root, family, src_lang, tgt_lang)
    for lang, path in [(src_lang, pair.source), *((tgt_lang, p) for p in pair.references.values())]:
        if not path.is_file():
            raise UserError(
                f"{family} has no file for {lang} in {root}: {path.relative_to(root)} is missing"
            )
    return pair


def choice_file(family: str, lang: str, split: str, data: Path) -> Path:
    """Return where one language lies (XCOPA: ``data/et/test.et.jsonl``), checked to be there."""
    if family not in CHOICE_SPLITS:
        raise unknown("multiple-choice benchmark", family, CHOICE_SPLITS)
    root = _family_folder(family, data)
    code = _code(lang, family)
    path = root / "data" / code / f"{split}.{code}.jsonl"
    if family in BUNDLED:
        path = root / "questions" / f"{code}.jsonl"
    if not path.is_file():
        raise UserError(
            f"{family} has no file for {lang} in {root}: {path.relative_to(root)} is missing"
        )
    return path


def files_of(
    family: str, src_lang: str | None, tgt_lang: str | None, lang: str | None, data: Path | None
) -> tuple[DataFile, ...]:
    """Return the files that a task needs, read and checked; see :func:`parallel` for the faults."""
    if src_lang and tgt_lang:
        return parallel(family, src_lang, tgt_lang, data).files
    return tuple(
        f for split in CHOICE_SPLITS[family] for f in choices(family, str(lang), split, data).files
    )


def reference_names(
    family: str, src_lang: str, tgt_lang: str, data: Path | None
) -> tuple[str, ...]:
    """Return the names of a direction's references without reading them."""
    data = _where(family, data)
    if data is None:
        return tuple(parallel(family, src_lang, tgt_lang, data).references)
    return tuple(pair_files(family, src_lang, tgt_lang, data).references)


def read_lines(path: Path) -> tuple[str, ...]:
    """Read a text file as segments, one a line; a final line end and a byte order mark are none.

    Raises:
        UserError: the file is not UTF-8; the line is named.
    """
    try:
        raw = path.read_bytes()
    except OSError as fault:
        raise UserError(f"{path}: {fault.strerror}: give a readable text file") from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        raise UserError(
            f"{path}:{line}: not UTF-8 (byte 0x{raw[fault.start]:02x}): convert the file to UTF-8"
        ) from None
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()
    return tuple(line.removesuffix("\r") for line in lines)


def _where(family: str, data: Path | None) -> Path | None:
    """Return the folder that the paths of a family's files are relative to; none is the hub."""
    return resources.data_file("") if family in BUNDLED else data


def _family_folder(family: str, data: Path) -> Path:
    if family in BUNDLED:
        return resources.data_file("sample")
    root = data / family
    if not root.is_dir():
        raise UserError(
            f"no folder {family} in {data}: put the benchmark there as it is published "
            f"(tasks/{family}/README.md shows the layout)"
        )
    return root


def _code(lang: str, family: str) -> str:
    codes = languages.codes(family)
    if lang not in codes:
        raise unknown(f"{family} language", lang, codes)
    return codes[lang]


def _flores(
    root: Path, family: str, src_lang: str, tgt_lang: str, split: str | None = None
) -> _Pair:
    base, split = root / f"{family}_dataset", split or SPLITS[family]
    source, target = (
        base / split / f"{_code(lang, family)}.{split}" for lang in (src_lang, tgt_lang)
    )
    # Flores-101 was published with the misspelt name.
    names = (f"metadata_{split}.tsv", f"metedata_{split}.tsv")
    documents = next((base / name for name in names if (base / name).is_file()), None)
    return _Pair(source, {"ref": target}, documents)


def _ntrex(root: Path, family: str, src_lang: str, tgt_lang: str) -> _Pair:
    def file(lang: str) -> Path:
        code = _code(lang, family)
        if lang == "eng_Latn":
            return root / "NTREX-128" / "newstest2019-src.eng.txt"
        name = f"newstest2019-ref.{code}.txt"
        additional = root / "NTREX-additional" / name
        return additional if additional.is_file() else root / "NTREX-128" / name

    return _Pair(file(src_lang), {"ref": file(tgt_lang)}, root / "DOCUMENT_IDS.tsv")


def _wmt22(root: Path, family: str, src_lang: str, tgt_lang: str) -> _Pair:
    src, tgt = _code(src_lang, family), _code(tgt_lang, family)
    stem = f"generaltest2022.{src}-{tgt}"
    found = (root / "txt" / "references").glob(f"{stem}.ref.*.{tgt}")
    references = {
        path.name.removeprefix(f"{stem}.ref.").removesuffix(f".{tgt}"): path for path in found
    }
    if not references:
        raise UserError(
            f"wmt22 has no reference for {src_lang}-{tgt_lang} in {root}: "
            f"txt/references/{stem}.ref.A.{tgt} is missing"
        )
    return _Pair(
        root / "txt" / "sources" / f"{stem}.src.{src}", dict(sorted(references.items())), None
    )


def _sample(root: Path, family: str, src_lang: str, tgt_lang: str) -> _Pair:
    source, target = (
        root / "sentences" / f"{_code(lang, family)}.txt" for lang in (src_lang, tgt_lang)
    )
    return _Pair(source, {"ref": target}, None)


_LAYOUTS: dict[str, Callable[[Path, str, str, str], _Pair]] = {
    "flores101": _flores,
    "flores200": _flores,
    "ntrex128": _ntrex,
    "sample": _sample,
    "wmt22": _wmt22,
}


def _read(path: Path, data: Path) -> tuple[tuple[str, ...], DataFile]:
    stat = path.stat()
    lines, sha256 = _read_once(
        path, (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    )
    return lines, DataFile(path.relative_to(data).as_posix(), len(lines), sha256)


# A direction's two columns are shared by hundreds of directions of a multi-parallel set.
@functools.lru_cache(maxsize=512)
def _read_once(path: Path, state: tuple[int, ...]) -> tuple[tuple[str, ...], str]:
    del state  # part of the key: a changed file is read again
    return read_lines(path), hashlib.sha256(path.read_bytes()).hexdigest()


def _documents(path: Path, data: Path) -> tuple[tuple[str, ...], DataFile]:
    lines, file = _read(path, data)
    if path.name == "DOCUMENT_IDS.tsv":
        return lines, file
    header, *rows = [line.split("\t") for line in lines] or [[]]
    if "URL" not in header:
        raise UserError(f"{path}:1: no URL column in the header: restore the published file")
    column = header.index("URL")
    for number, row in enumerate(rows, 2):
        if len(row) <= column:
            raise UserError(f"{path}:{number}: no URL: restore the published file")
    return tuple(row[column] for row in rows), DataFile(file.path, len(rows), file.sha256)


def _hub_parallel(family: str, src_lang: str, tgt_lang: str, split: str) -> Parallel:
    source, rows = hub.column(family, src_lang, split)
    target, target_rows = hub.column(family, tgt_lang, split)
    files = tuple(DataFile(r.name, len(r.rows), r.digest) for r in (rows, target_rows))
    if len(source) != len(target):
        raise UserError(f"{files[0].path} has {len(source)} rows but {files[1].path} {len(target)}")
    documents = tuple(str(row["URL"]) for row in rows.rows if "URL" in row)
    return Parallel(
        family,
        src_lang,
        tgt_lang,
        source,
        {"ref": target},
        documents if len(documents) == len(source) else None,
        files,
    )


def _hub_choices(family: str, lang: str, split: str) -> Split:
    found = hub.rows(family, lang, split)
    return Split(found.rows, (DataFile(found.name, len(found.rows), found.digest),))
