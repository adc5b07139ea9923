"""Suites: names and TOML files, and faults with their line."""

import pytest

from bayling_eval import plan
from bayling_eval.errors import UserError


def names(suite: plan.Suite, languages: str | None = None) -> list[str]:
    return [task.name for task in plan.selected(suite, languages).tasks]


def test_a_family_is_a_suite():
    assert len(names(plan.load("wmt22"))) == 21
    assert plan.selected(plan.load("wmt22")).open_families == {"wmt22"}


def test_a_file_selects_languages_and_pairs(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\n[[tasks]]\nuse = "flores200"\nlanguages = "deu_Latn,tha_Thai"\n'
        '[[tasks]]\nuse = "ntrex128"\npairs = ["deu-fra"]\n'
    )
    suite = plan.load(str(path))
    assert names(suite) == [
        "flores200_deu_Latn-eng_Latn",
        "flores200_deu_Latn-zho_Hans",
        "flores200_eng_Latn-deu_Latn",
        "flores200_eng_Latn-tha_Thai",
        "flores200_tha_Thai-eng_Latn",
        "flores200_tha_Thai-zho_Hans",
        "flores200_zho_Hans-deu_Latn",
        "flores200_zho_Hans-tha_Thai",
        "ntrex128_deu_Latn-fra_Latn",
    ]


def test_languages_on_the_command_line_take_the_place_of_the_suites():
    assert names(plan.load("wmt22"), "ja") == ["wmt22_eng_Latn-jpn_Jpan", "wmt22_jpn_Jpan-eng_Latn"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[tasks]]\nuse = "flores200"\nlangages = "de"\n',
            r":3: unknown key 'langages'.*'languages'",
        ),
        ('[[tasks]]\nuse = "xcopa"\n\n[[tasks]]\nuse = 3\n', r":5: tasks.1.use: .*string"),
        ('nam = "x"\n[[tasks]]\nuse = "xcopa"\n', r":1: unknown key 'nam'.*'name'"),
        ('name = "x"\n', r"mine.toml:1: tasks: Field required"),
        ("[[tasks]\n", r"mine.toml:1: broken TOML"),
        ('[[tasks]]\nuse = "flores20"\n', r"unknown task family 'flores20'.*'flores200'"),
        ('[[tasks]]\nuse = "xcopa"\nlanguages = "klingon"\n', r"klingon"),
        ('[[tasks]]\nuse = "wmt22"\npairs = ["cs-ja"]\n', r"unknown task 'wmt22_cs-ja'"),
        ('[[tasks]]\nuse = "wmt22', r"mine.toml:2: broken TOML"),
        ('"a(" = 1\n', r"mine.toml:1: "),
        ("x = " + "[" * 20_000, r"mine.toml: broken TOML: nested too deeply"),
        (
            '\n[[tasks]]\nuse = "xcopa"\n[[tasks]]\nuse = "wmt22"\npairs = ["xx-en"]\n',
            r"mine.toml:4: unknown task 'wmt22_xx-en'",
        ),
        (
            '[[tasks]]\nuse = "wmt22"\npairs = ["cs-en"]\nlanguages = "de"\n',
            r"mine.toml:1: no task of wmt22 has one of 'de'",
        ),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        plan.selected(plan.load(str(path)))


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ("flores20", "unknown suite 'flores20'. Did you mean 'flores200'"),
        ("no.toml", "no suite file"),
    ],
)
def test_an_unknown_suite_is_named(suite, message):
    with pytest.raises(UserError, match=message):
        plan.load(suite)


def test_a_suite_that_is_not_utf8_is_a_clear_error(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b'name = "\xff"\n')
    with pytest.raises(UserError, match="not UTF-8"):
        plan.load(str(path))
