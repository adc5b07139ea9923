"""Write the task files: one small YAML a direction or language, from the language table.

Run it after ``bayling_eval/data/languages.csv`` or a pair below has changed::

    python scripts/make_tasks.py [TASKS]      TASKS: the folder to write to, by default tasks/

Task files that are no longer wanted are removed. Templates and READMEs are written by hand.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from bayling_eval import languages

CHECKOUT = Path(__file__).parent.parent
ENGLISH, CHINESE = "eng_Latn", "zho_Hans"
HUBS = {
    "flores101": (ENGLISH, CHINESE),
    "flores200": (ENGLISH, CHINESE),
    "ntrex128": (ENGLISH,),
    "sample": (ENGLISH,),
    "wmt22": (ENGLISH,),
}
"""The languages that a family is translated to and from; each has its two tags."""
# The pairs of the general task that have their two directions, and those that have one; the same
# 21 as sacrebleu 2.6.0 lists for wmt22.
WMT22_BOTH = (
    "cs-en",
    "cs-uk",
    "de-en",
    "de-fr",
    "en-ja",
    "en-liv",
    "en-ru",
    "en-uk",
    "en-zh",
    "ru-sah",
)
WMT22_ONE = ("en-hr",)
VERSION = "1.0"


def main(folder: Path) -> None:
    wanted = {folder / path: text for path, text in files()}
    for family in (*HUBS, "sample_questions", "xcopa"):
        (folder / family).mkdir(parents=True, exist_ok=True)
        for path in (folder / family).glob("*.yaml"):
            if path not in wanted:
                path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8", newline="\n")
    print(f"{len(wanted)} task files in {folder}")


def files() -> Iterator[tuple[str, str]]:
    for family in HUBS:
        for src, tgt in pairs(family):
            yield f"{family}/{family}_{src}-{tgt}.yaml", translation(family, src, tgt)
        # Of the sample only the directions with English are meant to be run.
        if family != "sample":
            yield f"{family}/{family}_pair.yaml", generic(family)
    for lang in languages.codes("sample_questions"):
        yield f"sample_questions/sample_questions_{lang}.yaml", questions(lang)
    for lang, code in languages.codes("xcopa").items():
        yield f"xcopa/xcopa_{lang}.yaml", xcopa(lang, code)


def pairs(family: str) -> list[tuple[str, str]]:
    if family == "wmt22":
        codes = [tuple(pair.split("-")) for pair in (*WMT22_BOTH, *WMT22_ONE)]
        codes += [(tgt, src) for src, tgt in (pair.split("-") for pair in WMT22_BOTH)]
        return [
            (languages.resolve(src, family), languages.resolve(tgt, family)) for src, tgt in codes
        ]
    others = [key for key in languages.codes(family) if wanted_language(family, key)]
    both = [
        pair
        for hub in HUBS[family]
        for key in others
        if key != hub
        for pair in ((hub, key), (key, hub))
    ]
    return list(dict.fromkeys(both))


def wanted_language(family: str, key: str) -> bool:
    # NTREX has its English source in other spellings too; Swiss German is not part of the 128.
    return family != "ntrex128" or not key.startswith(("eng_", "gsw_"))


def translation(family: str, src: str, tgt: str) -> str:
    tags = [family]
    tags += [f"{family}_{hub}-x" for hub in HUBS[family] if hub == src]
    tags += [f"{family}_x-{hub}" for hub in HUBS[family] if hub == tgt]
    return (
        f"include: {'_template' if family == 'sample' else '../_translation'}\n"
        f"task: {family}_{src}-{tgt}\n"
        f"tag: [{', '.join(tags)}]\n"
        f"metadata: {{version: {VERSION}, family: {family}, src_lang: {src}, tgt_lang: {tgt}}}\n"
    )


def generic(family: str) -> str:
    return (
        '# Any pair: lm_eval run --metadata \'{"src_lang": "deu_Latn", "tgt_lang": "fra_Latn"}\'\n'
        "include: ../_translation\n"
        f"task: {family}_pair\n"
        f"metadata: {{version: {VERSION}, family: {family}}}\n"
    )


def questions(lang: str) -> str:
    return (
        "include: _template\n"
        f"task: sample_questions_{lang}\n"
        "tag: [sample_questions]\n"
        f"metadata: {{version: {VERSION}, family: sample_questions, lang: {lang}, chance: 0.25}}\n"
    )


def xcopa(lang: str, code: str) -> str:
    return (
        "include: _template\n"
        f"task: xcopa_{lang}\n"
        "tag: [xcopa]\n"
        f"doc_to_text: !function lm_eval.tasks.xcopa.utils.doc_to_text_{code}\n"
        f"metadata: {{version: {VERSION}, family: xcopa, lang: {lang}, chance: 0.5}}\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKOUT / "tasks")
