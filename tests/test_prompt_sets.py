"""Prompt sets: their words as their sources have them, and what a set cannot ask."""

from pathlib import Path

import lm_eval
import pytest
import yaml
from pydantic import ValidationError

from bayling_eval import languages, presets, prompt_sets, resources
from bayling_eval.errors import UserError
from bayling_eval.prompt_sets import PromptSet

TABLE = prompt_sets.table()
LM_EVAL = Path(lm_eval.__file__).parent / "tasks"


def made(**fields) -> PromptSet:
    said = {"name": "mine", "prompt": "{{tgt_name}}: {{source}}", "names": "en", "source": "none"}
    return PromptSet.model_validate(said | fields)


# Words


@pytest.mark.parametrize(
    ("name", "direction", "words"),
    [
        # ictnlp/BayLing @ 39c6d08d, scripts/translate.py; names: CLDR 47 (zh), FLORES-200's README
        ("bayling-en", "eng_Latn deu_Latn", "Provide the German translation for this sentence: @"),
        (
            "bayling-en",
            "deu_Latn zho_Hans",
            "Provide the Chinese (Simplified) translation for this sentence: @",
        ),
        ("bayling-zh", "eng_Latn deu_Latn", "提供这句话的德语翻译：@"),  # noqa: RUF001
        ("bayling-zh", "deu_Latn zho_Hant", "提供这句话的繁体中文翻译：@"),  # noqa: RUF001
        # LLaMAX/LLaMAX3-8B-Alpaca @ 5378f8f, README.md
        (
            "llamax",
            "deu_Latn eng_Latn",
            "Translate the following sentences from German to English.\n### Input:\n@",
        ),
        # wxjiao/ParroT @ 0628f3b1, test/instruct_inf.txt
        (
            "parrot",
            "deu_Latn eng_Latn",
            "Translate the following sentences from German to English.\n\n### Input:\n@",
        ),
        # fe1ixxu/ALMA @ 8e8c4b18, utils/utils.py
        (
            "alma",
            "deu_Latn eng_Latn",
            "Translate this from German to English:\nGerman: @\nEnglish:",
        ),
        ("alma-few-shot", "ces_Latn eng_Latn", "Czech: @\nEnglish:"),
        (
            "alma-target",
            "eng_Latn deu_Latn",
            "Übersetzen Sie dies vom Englischen ins Deutsche:\nEnglisch: @\nDeutsch:",
        ),
        # the card of Unbabel/TowerInstruct-v0.1
        (
            "tower",
            "por_Latn eng_Latn",
            "Translate the following text from Portuguese into English.\nPortuguese: @\nEnglish:",
        ),
        # ZNLP/BigTranslate @ 005b7bdc, README.md
        ("bigtranslate", "eng_Latn zho_Hans", "请将以下英语句子翻译成简体中文：@"),  # noqa: RUF001
        # EuroEval/EuroEval @ f29cf931, src/euroeval/prompt_templates/translation.py
        (
            "euroeval-source",
            "deu_Latn fra_Latn",
            "Deutscher Text: @\n\nÜbersetzen Sie den oben stehenden Text ins French.",
        ),
    ],
)
def test_words_are_those_of_the_source_with_names_filled_in(name, direction, words):
    assert TABLE[name].words(*direction.split()) == words.replace("@", "{{source}}")


def test_the_english_set_has_the_words_of_the_tasks_in_every_language():
    template = (resources.folder("tasks") / "_translation").read_text(encoding="utf-8")
    (words,) = [line for line in template.splitlines() if line.startswith("doc_to_text")]
    own = words.removeprefix('doc_to_text: "').removesuffix('"')
    for key, one in languages.table().items():
        filled = own.replace("{{tgt_name}}", one.name)
        assert TABLE["bayling-en"].words("eng_Latn", key) == filled


class _Loader(yaml.SafeLoader):
    """Reads lm-eval's YAML with functions as nothing."""


_Loader.add_constructor("!function", lambda *_: None)


def stock(path: str, *includes: str) -> dict:
    """Return a task file of the installed lm-eval over the files that it includes."""
    names = (*includes, path)
    loaded = (
        yaml.load((LM_EVAL / n).read_text(encoding="utf-8"), _Loader)  # noqa: S506
        for n in names
    )
    return {key: value for one in loaded for key, value in one.items()}


AFRO = "afrobench/flores/prompt_{}/english-african/"


@pytest.mark.parametrize(
    ("name", "direction", "config", "column"),
    [
        (
            "sentence",
            "eng_Latn spa_Latn",
            stock(
                "spanish_bench/flores_es/flores_en-es.yaml",
                "spanish_bench/flores_es/_flores_common_yaml",
            ),
            "sentence_eng_Latn",
        ),
        (
            "phrase",
            "eng_Latn deu_Latn",
            stock("translation/wmt16_en-de.yaml", "translation/wmt_common_yaml"),
            'translation["en"]',
        ),
        *(
            (
                name,
                "eng_Latn swh_Latn",
                stock(
                    f"{AFRO.format(number)}flores_eng_Latn-swh_Latn.yaml",
                    f"{AFRO.format(number)}flores",
                ),
                "sentence_eng_Latn",
            )
            for number, name in enumerate(("colon", "afrobench-expert", "afrobench-linguist"), 1)
        ),
        *(
            (
                f"noreval-p{number}",
                f"{keys[src]} {keys[tgt]}",
                stock(
                    f"noreval/tatoeba/tatoeba_{src}_{tgt}/tatoeba_{src}_{tgt}_p{number}.yaml",
                    "noreval/tatoeba/_tatoeba_yaml",
                ),
                "sourceString" if src == "eng" else "targetString",
            )
            for keys in [{"eng": "eng_Latn", "nob": "nob_Latn", "nno": "nno_Latn"}]
            for src, tgt in (("eng", "nob"), ("nob", "eng"), ("eng", "nno"), ("nno", "eng"))
            for number in range(4)
        ),
    ],
)
def test_words_and_stops_from_lm_eval_are_those_of_its_files(name, direction, config, column):
    found = TABLE[name]
    asked = config["doc_to_text"].replace(f"{{{{{column}}}}}", "{{source}}")
    assert found.words(*direction.split()) == asked
    # Those of afrobench are for chat models: the few-shot form leaves them out.
    stops = None if name == "colon" else tuple(config["generation_kwargs"]["until"])
    assert found.until == stops
    if found.num_fewshot:
        # An answer is joined by the task's delimiter, then by what doc_to_target begins with.
        target = config["doc_to_target"]
        lead = target[: len(target) - len(target.lstrip())]
        assert found.target_delimiter == config.get("target_delimiter", " ") + lead


def test_words_from_darija_bench_are_those_of_its_file():
    code = (LM_EVAL / "darija_bench/darija_translation/utils.py").read_text(encoding="utf-8")
    for words in TABLE["darija"].prompts.values():
        assert words.replace("{{source}}", "{0}").replace("\n", r"\n") in code
    assert len(TABLE["darija"].prompts) == code.count("{0}") == 6
    config = stock("darija_bench/darija_translation/translation_common_yaml")
    assert TABLE["darija"].until == tuple(config["generation_kwargs"]["until"])


@pytest.mark.parametrize("name", TABLE)
def test_a_set_has_words_for_its_own_directions_and_says_where_they_were_read(name):
    found = TABLE[name]
    assert "@" in found.source or found.source.startswith("lm-eval 0.4.13")
    for direction in found.prompts or ["eng_Latn-deu_Latn", "zho_Hans-eng_Latn"]:
        src, tgt = direction.replace(
            "*", "fra_Latn" if "fra" not in direction else "deu_Latn"
        ).split("-")
        assert {src, tgt} <= set(languages.table()), direction
        words = found.words(src, tgt)
        assert words.count("{{") == 1
        assert "{{source}}" in words


def test_presets_name_sets_that_there_are():
    named = {one.prompt_set for one in presets.table().values()} - {None}
    assert named
    assert named <= set(TABLE)


def test_language_names_are_english_chinese_or_their_own():
    said = {
        names: made(names=names, prompt="{{src_name}}>{{tgt_name}} {{source}}").words(
            "deu_Latn", "zho_Hans"
        )
        for names in ("en", "zh", "native")
    }
    assert said == {
        "en": "German>Chinese (Simplified) {{source}}",
        "zh": "德语>简体中文 {{source}}",
        "native": "Deutsch>简体中文 {{source}}",
    }


def test_a_direction_has_its_own_words_before_those_of_its_source():
    found = made(
        prompt=None, prompts={"deu_Latn-*": "a {{source}}", "deu_Latn-eng_Latn": "b {{source}}"}
    )
    assert found.words("deu_Latn", "eng_Latn") == "b {{source}}"
    assert found.words("deu_Latn", "fra_Latn") == "a {{source}}"
    with pytest.raises(UserError, match="^no words for eng_Latn-deu_Latn$"):
        found.words("eng_Latn", "deu_Latn")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompt": "Translate."}, "source has to be in it 1 times"),
        ({"prompt": "{{source}}{{source}}"}, "source has to be in it 1 times"),
        ({"prompt": "{{source}} {{language}}"}, "names alone"),
        ({"prompt": "{{source}}{% if a %}"}, "names alone"),
        ({"names": None}, "say with names in which language"),
        ({"description": "{{source}}"}, "source has to be in it 0 times"),
        ({"prompt": None}, "give prompt, or prompts by direction"),
        ({"prompts": {"deu_Latn-*": "{{source}}"}}, "give prompt, or prompts by direction"),
        ({"names": "de"}, "names"),
        ({"num_fewshot": -1}, "num_fewshot"),
        ({"examples": "devtest"}, "examples"),
        ({"unheard": 1}, "unheard"),
        ({"source": None}, "source"),
    ],
)
def test_a_set_that_is_not_whole_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        made(**fields)


def test_an_unknown_name_suggests_a_near_one():
    with pytest.raises(UserError, match=r"'bayling-zn'\. Did you mean 'bayling-zh'"):
        prompt_sets.find("bayling-zn")
    with pytest.raises(UserError, match=r"`bayling-eval ls prompt-sets` lists them"):
        prompt_sets.find("?")


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "{{tgt_name}}; {{source}}"},
        {"names": "native"},
        {"until": ("\n",)},
        {"target_delimiter": ""},
        {"fewshot_delimiter": "\n"},
        {"description": "Translate."},
        {"examples": "flores200-dev"},
    ],
)
def test_what_a_prompt_is_made_of_is_in_its_digest_and_no_more(change):
    pair = ("eng_Latn", "deu_Latn")
    assert made().digest(*pair) != made(**change).digest(*pair)
    assert made().digest(*pair) == made(note="new", source="elsewhere", name="other").digest(*pair)
    assert made().digest(*pair) != made().digest("eng_Latn", "fra_Latn")


@pytest.mark.parametrize(
    "change",
    [{"prompt": "{{tgt_name}}; {{source}}"}, {"names": "native"}, {"until": ("\n",)},
     {"fewshot_delimiter": "\n"}, {"description": "Translate."}, {"num_fewshot": 3},
     {"examples": "flores200-dev"}],
)  # fmt: skip
def test_what_a_set_asks_with_is_in_its_own_digest_and_no_more(change):
    assert made().own_digest != made(**change).own_digest
    assert made().own_digest == made(note="new", source="elsewhere", name="other").own_digest


# Directions that a set cannot ask


@pytest.mark.parametrize(
    ("name", "shots", "directions", "said"),
    [
        (
            "bayling-zh",
            0,
            ["eng_Latn-deu_Latn", "eng_Latn-kbp_Latn"],
            "prompt set bayling-zh has no Chinese name of kbp_Latn, which t_eng_Latn-kbp_Latn "
            "needs: choose other languages with --languages, or take --prompt-set bayling-en",
        ),
        (
            "alma-target",
            0,
            ["eng_Latn-deu_Latn", "deu_Latn-eng_Latn", "fra_Latn-eng_Latn"],
            "prompt set alma-target has no words for deu_Latn-eng_Latn, which t_deu_Latn-eng_Latn "
            "needs (and 1 more: no words for fra_Latn-eng_Latn ...): choose other languages with "
            "--languages, or take --prompt-set bayling-en",
        ),
        (
            "sentence",
            5,
            ["eng_Latn-liv_Latn"],
            "prompt set sentence has no examples in liv_Latn (not in FLORES-200), which "
            "t_eng_Latn-liv_Latn needs: choose other languages with --languages, or take "
            "--prompt-set bayling-en",
        ),
        (
            "bayling-en",
            0,
            ["eng_Latn-tlh_Latn"],
            "prompt set bayling-en has no English name of tlh_Latn, which t_eng_Latn-tlh_Latn "
            "needs: choose other languages with --languages, or take --prompt-set task",
        ),
    ],
)
def test_what_a_set_lacks_is_one_line_that_says_what_to_do(name, shots, directions, said):
    pairs = [(f"t_{one}", *one.split("-")) for one in directions]
    with pytest.raises(UserError) as caught:
        prompt_sets.check(TABLE[name], pairs, shots)
    assert str(caught.value) == said
    if len(pairs) > 1:
        prompt_sets.check(TABLE[name], pairs[:1], shots)


def test_without_examples_their_languages_do_not_matter():
    prompt_sets.check(TABLE["sentence"], [("t", "eng_Latn", "liv_Latn")], 0)
