"""Build bayling_eval/data/languages.csv from the published metadata and ``language_tables``.

Usage: python scripts/make_languages.py --metadata ../shared/data/language_metadata [--out FILE]

Chinese names are those of CLDR 47, read with babel 2.18.0 (babel.core.get_cldr_version); the rest
needs the standard library only. docs/languages.md says what each column holds, where it comes from
and which faults of the sources are corrected.
"""

import argparse
import csv
import re
import unicodedata
from collections import Counter
from pathlib import Path

from babel import Locale
from language_tables import (
    AREAS,
    CLDR_AUTONYMS,
    CLDR_IDS,
    CODES,
    EXTRA_NAMES,
    FACTS,
    FAMILIES,
    FLORES_PLUS,
    LETTERS,
    M2M100_CHINESE,
    M49,
    MAP_ADDED,
    MAP_ERRORS,
    MEANINGS,
    NAMED_SCRIPT,
    NO_CHINESE,
    RTL,
    SPELLINGS,
    TAGS,
    TWO_LETTER,
    XLMR,
    words,
)

OUT = Path(__file__).parent.parent / "bayling_eval" / "data" / "languages.csv"
Rows = dict[str, dict[str, str]]


def tables(path: Path) -> list[list[str]]:
    """Return the rows of all Markdown tables of a file, cells stripped, without rulers."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if " | " in line]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def linguameta(path: Path) -> tuple[Rows, Rows]:
    """Return LinguaMeta's rows by ISO 639-3 code and by BCP-47 code."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    iso = {row["iso_639_3_code"]: row for row in rows}
    # The source says that one person speaks Standard Latvian; the row of Latvian has an estimate.
    iso["lvs"]["estimated_number_of_speakers"] = ""
    return iso, {row["bcp_47_code"]: row for row in rows}


def tag(key: str, iso: Rows) -> str:
    """Return the shortest BCP-47 tag of a key."""
    if key in TAGS:
        return TAGS[key]
    language, script, *region = key.split("_")
    short = TWO_LETTER.get(language) or iso[language]["bcp_47_code"]
    return "-".join([short, *([script] if key in NAMED_SCRIPT else []), *region])


def written_in(text: str, script: str) -> bool:
    """Say whether every letter of a text belongs to a script."""
    letters = [unicodedata.name(c) for c in text if unicodedata.category(c) in ("Lu", "Ll", "Lo")]
    return bool(letters) and all(name.startswith(LETTERS[script]) for name in letters)


def autonym(key: str, sources: list[dict[str, str]]) -> str:
    """Return the first name of a source that is in the key's own script, or nothing."""
    if key in CLDR_AUTONYMS:
        return CLDR_AUTONYMS[key]
    script = key.split("_")[1]
    return next((s["endonym"] for s in sources if written_in(s["endonym"], script)), "")


def chinese(key: str, tag: str, *, several: bool) -> str:
    """Return CLDR's Chinese name of a key, with its script where ``several`` scripts have a key."""
    if key in NO_CHINESE:
        return ""
    zh, subtags = Locale("zh"), CLDR_IDS.get(key, tag).replace("-", "_")
    language, _, rest = subtags.partition("_")
    name = str(zh.languages.get(subtags) or zh.languages.get(language, ""))
    # CLDR has a name of its own for hi-Latn, en-GB and others; the brackets are those of hi-Latn's.
    if subtags in zh.languages or not name or not rest:
        return name
    more = zh.territories.get(rest) or (zh.scripts[rest] if several else "")
    return f"{name}\uff08{more}\uff09" if more else name


def area(key: str, sources: list[dict[str, str]]) -> str:
    """Return the M49 region of most of a language's locales."""
    by_hand = {name: region for region, names in AREAS.items() for name in words(names)}
    for name in (key, key[:3]):
        if name in by_hand:
            return by_hand[name]
    region = {code: name for name, codes in M49.items() for code in words(codes)}
    locales = next(s["locales"] for s in sources if s["locales"])
    counts = Counter(region[code] for code in locales.split(", ")).most_common(2)
    if len(counts) == 2 and counts[0][1] == counts[1][1]:
        raise SystemExit(f"macro-area of {key} is a tie: {locales}; add it to AREAS")
    return counts[0][0]


def facts(key: str, name: str, iso: Rows, bcp: Rows) -> dict[str, str]:
    """Return the columns of a key that are not spellings."""
    language, script = key.split("_")[:2]
    found = [iso.get(language), bcp.get(TWO_LETTER.get(language, ""))]
    sources = [row for row in found if row]
    speakers = [s["estimated_number_of_speakers"] for s in sources]
    family = next(family for family, codes in FAMILIES.items() if language in words(codes))
    return {
        "key": key,
        "bcp47": tag(key, iso),
        "name": name,
        "autonym": autonym(key, sources),
        "script": script,
        "direction": "rtl" if script in RTL else "ltr",
        "family": family,
        "macro_area": area(key, sources),
        "speakers": next((s for s in speakers if s), ""),
        "resource_level": "",
        "xlmr": "1" if "_".join(key.split("_")[:2]) in XLMR else "0",
    }


def plain_codes(rows: Rows) -> dict[str, str]:
    """Return what each code of CODES means.

    It is a BCP-47 tag, an ISO 639-3 code that one key has, a key with hyphens, or in MEANINGS.
    """
    bare = [key for key in rows if key.count("_") == 1]
    keys_of = Counter(key[:3] for key in bare)
    known = {row["bcp47"]: key for key, row in rows.items()}
    known |= {key[:3]: key for key in bare if keys_of[key[:3]] == 1}
    known |= {key.replace("_", "-"): key for key in bare}
    known |= {f"{key[:3]}-{key[9:]}": key for key in rows if key not in bare}
    return known | MEANINGS


def spell(rows: Rows, metadata: Path) -> None:
    """Fill in the spelling columns of all rows."""
    flores = tables(metadata / "flores200_README.md")
    for key in (row[1] for row in flores if re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", row[1])):
        rows[key]["flores200"] = f"{key} {FLORES_PLUS.get(key, '')}".strip()
    key_of = {row[1]: row[0] for row in flores if row[0] in rows and row[1] not in MAP_ERRORS}
    key_of |= MAP_ADDED
    for row in tables(metadata / "flores101_README.md"):
        if row[1] in key_of:
            _, code, m2m100 = row
            rows[key_of[code]]["flores101"] = code
            rows[key_of[code]]["m2m100"] = M2M100_CHINESE.get(code, m2m100)
    for code, *_ in belebele(metadata):
        key = f"{code[:4]}{code[4:].capitalize()}"
        rows[key]["belebele"] = key if code == key else f"{key} {code}"
    known = plain_codes(rows)
    for benchmark, codes in CODES.items():
        for code in words(codes):
            rows[known[code]][benchmark] = code


def belebele(metadata: Path) -> list[list[str]]:
    """Return code and name of Belebele's table; `^` marks what FLORES-200 lacks."""
    found = tables(metadata / "belebele_README.md")
    return [
        [row[0].rstrip("^"), row[1]]
        for row in found
        if re.fullmatch(r"[a-z]{3}_[A-Za-z]{4}\^?", row[0])
    ]


def build(metadata: Path) -> list[dict[str, str]]:
    """Return all rows, sorted by key, so that the scripts of one language are neighbours."""
    iso, bcp = linguameta(metadata / "linguameta.tsv")
    names = {code: name for code, name in belebele(metadata) if code.endswith("_Latn")}
    flores = tables(metadata / "flores200_README.md")
    names |= {row[1]: row[0] for row in flores if re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", row[1])}
    names |= EXTRA_NAMES
    rows = {key: facts(key, names[key], iso, bcp) for key in sorted(names)}
    keys_of = Counter(key[:3] for key in rows)
    for key, row in rows.items():
        row["name_zh"] = chinese(key, row["bcp47"], several=keys_of[key[:3]] > 1)
    spell(rows, metadata)
    return list(rows.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--metadata", type=Path, required=True, help="the language_metadata folder")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    rows = build(args.metadata)
    with args.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FACTS + SPELLINGS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{args.out}: {len(rows)} languages")


if __name__ == "__main__":
    main()
