"""The table of languages against the published files it describes."""

import csv
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import regex

from bayling_eval import languages
from bayling_eval.resources import data_file

SCRIPT = Path(__file__).parent.parent / "scripts" / "make_languages.py"
TABLE = languages.table()
# Unicode's own name of scripts that ISO 15924 divides by use.
UNICODE_SCRIPTS = {"Hans": "Hani", "Hant": "Hani", "Jpan": r"Hani}\p{Hira}\p{Kana"}


def file_codes(data: Path, benchmark: str) -> dict[str, list[Path]]:
    """Return the files of every code, as they are named on disk."""
    patterns = {
        "flores200": ("flores200/*/devtest/*.devtest", r"(.+)\.devtest"),
        "flores101": ("flores101/*/devtest/*.devtest", r"(.+)\.devtest"),
        "ntrex128": ("ntrex128/NTREX-*/*.txt", r"newstest2019-(?:src|ref|ref-2)\.(.+)\.txt"),
        "wmt22": ("wmt22/txt/*/*", r".+\.([a-z]+)"),
        "xcopa": ("xcopa/data/*", r"(.+)"),
        "mgsm": ("mgsm/*.tsv", r"mgsm_(.+)\.tsv"),
        "irokobench": ("irokobench/afri*/*", r"(.+)"),
    }
    glob, pattern = patterns[benchmark]
    found: dict[str, list[Path]] = {}
    for path in sorted(data.glob(glob)):
        match = re.fullmatch(pattern, path.name)
        assert match, path
        found.setdefault(match[1], []).append(path)
    return found


def main_scripts(text: str) -> list[str]:
    """Return the ISO 15924 scripts of most of the text's letters: Hans and Hant go together."""
    counts = {
        script: len(regex.findall(rf"[\p{{{UNICODE_SCRIPTS.get(script, script)}}}]", text))
        for script in {one.script for one in TABLE.values()}
    }
    return [script for script, count in counts.items() if count and count == max(counts.values())]


def cells(text: str) -> list[str]:
    return [cell.strip() for cell in text.replace("\n", " ").split("|")]


@pytest.fixture(scope="module")
def linguameta(data_dir):
    """LinguaMeta's rows by ISO 639-3 code."""
    path = data_dir / "language_metadata/linguameta.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        return {row["iso_639_3_code"]: row for row in csv.DictReader(file, delimiter="\t")}


def readme(data: Path, pattern: str, name: str) -> list[tuple[str, ...]]:
    text = (data / f"language_metadata/{name}_README.md").read_text(encoding="utf-8")
    return re.findall(f"^{pattern}$", text, re.MULTILINE)


@pytest.mark.data
@pytest.mark.parametrize(
    "benchmark", cells("flores200 | flores101 | ntrex128 | wmt22 | xcopa | mgsm | irokobench")
)
def test_files_and_codes_are_the_same_set(data_dir, benchmark):
    files = file_codes(data_dir, benchmark)
    spelt = languages.codes(benchmark)
    assert sorted(files) == sorted(spelt.values())
    assert {languages.resolve(code, benchmark) for code in files} == set(spelt)
    # NTREX has a second Spanish reference, which is no language of its own.
    assert benchmark != "ntrex128" or len(files["spa"]) == 2


@pytest.mark.data
@pytest.mark.parametrize("benchmark", ["flores200", "ntrex128"])
def test_script_of_the_text_is_the_script_of_the_key(data_dir, benchmark):
    for code, paths in file_codes(data_dir, benchmark).items():
        for path in paths:
            first = path.read_text(encoding="utf-8").splitlines()[0]
            key = languages.resolve(code, benchmark)
            assert TABLE[key].script in main_scripts(first), path


@pytest.mark.data
@pytest.mark.parametrize(
    ("key", "own", "other"),
    [("zho_Hans", "国会这们", "國會這們"), ("zho_Hant", "國會這們", "国会这们")],
)
def test_simplified_and_traditional_are_not_swapped(data_dir, key, own, other):
    for benchmark in ("flores200", "flores101", "ntrex128"):
        (path,) = file_codes(data_dir, benchmark)[languages.codes(benchmark)[key]]
        text = path.read_text(encoding="utf-8")
        assert sum(map(text.count, own)) > 20
        assert sum(map(text.count, other)) == 0


@pytest.mark.data
def test_flores101_is_mapped_as_its_readmes_say_but_for_their_known_errors(data_dir):
    published = dict(readme(data_dir, r"([a-z]{3}_[A-Z][a-z]{3}) \| (\w+)", "flores200"))
    assert published.pop("lij_Latn") == "Latvian"
    assert published.pop("lim_Latn") == "kea"
    ours = languages.codes("flores101")
    assert ours == published | {"kea_Latn": "kea", "slv_Latn": "slv"}
    m2m100 = dict(readme(data_dir, r".+ \| (\w+) \| (\w+) *", "flores101"))
    assert sorted(m2m100) == sorted(ours.values())
    spelt = languages.codes("m2m100")
    differing = {key for key, code in ours.items() if spelt[key] != m2m100[code]}
    assert differing == {"zho_Hans", "zho_Hant"}  # both `zho` there


@pytest.mark.data
def test_columns_of_published_tables_are_m2m100_codes(data_dir):
    paths = list((data_dir / "published_scores/llamax").glob("*/*/*.csv"))
    assert len(paths) == 36
    for path in paths:
        columns = path.read_text(encoding="utf-8").splitlines()[0].split(",")[1:]
        keys = [languages.resolve(code, "m2m100") for code in columns]
        assert sorted(keys) == sorted(languages.codes("flores101"))


def lm_eval_languages(folder: str, pattern: str) -> set[str]:
    spec = importlib.util.find_spec("lm_eval")
    assert spec
    assert spec.origin
    names = [path.name for path in Path(spec.origin).parent.glob(f"tasks/{folder}/**/*.yaml")]
    return {match[1] for name in names if (match := re.fullmatch(pattern, name))}


@pytest.mark.parametrize(
    ("benchmark", "folder", "pattern"),
    [
        ("okapi", "okapi", r"(?:arc|hellaswag|m_mmlu)_([a-z]{2})\.yaml"),
        ("xnli", "xnli", r"xnli_([a-z]{2})\.yaml"),
        ("xcopa", "xcopa", r"default_([a-z]{2})\.yaml"),
        ("belebele", "belebele", r"belebele_([a-z]{3}_[A-Z][a-z]{3})\.yaml"),
    ],
)
def test_codes_are_those_of_lm_eval(benchmark, folder, pattern):
    assert lm_eval_languages(folder, pattern) == set(languages.codes(benchmark).values())


@pytest.mark.data
def test_the_script_builds_the_same_table(data_dir, tmp_path):
    out = tmp_path / "languages.csv"
    metadata = data_dir / "language_metadata"
    subprocess.run([sys.executable, SCRIPT, "--out", out, "--metadata", metadata], check=True)
    assert out.read_bytes() == data_file("languages.csv").read_bytes()


def test_keys_are_well_formed_and_scripts_of_a_language_are_neighbours():
    assert list(TABLE) == sorted(TABLE)
    for key, one in TABLE.items():
        assert re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}(_[A-Z]{2})?", key)
        assert key.split("_")[1] == one.script
    assert len(TABLE) == 230
    assert len({one.name for one in TABLE.values()}) == len(TABLE)


@pytest.mark.parametrize("benchmark", languages.SPELLINGS)
def test_no_spelling_means_two_keys(benchmark):
    spelt = [code for one in TABLE.values() for code in one.aliases.get(benchmark, ())]
    assert spelt
    assert len(spelt) == len(set(spelt))


def test_bcp47_is_well_formed_and_names_a_script_only_where_needed():
    for key, one in TABLE.items():
        tag = r"([a-z]{2,3})(-[A-Z][a-z]{3})?(-[A-Z]{2})?(-u-sd-[a-z]{2}[a-z0-9]+)?"
        match = re.fullmatch(tag, one.bcp47)
        assert match, one.bcp47
        assert match[2] in (None, f"-{one.script}")
        # BE and ZH are cantons of gsw: as regions they would be Belgium and nothing.
        assert (match[3] or "") == ("" if match[4] else key[8:].replace("_", "-"))
    shared = Counter(one.bcp47 for one in TABLE.values())
    assert [tag for tag, count in shared.items() if count > 1] == ["apc"]
    some = cells("eng_Latn | zho_Hans | srp_Cyrl | srp_Latn | swh_Latn | gsw_Latn_BE")
    tags = cells("en | zh-Hans | sr | sr-Latn | sw | gsw-u-sd-chbe")
    assert [TABLE[key].bcp47 for key in some] == tags


@pytest.mark.data
def test_bcp47_primary_subtags_are_known_to_linguameta(linguameta):
    known = {row["bcp_47_code"] for row in linguameta.values()}
    # LinguaMeta has no row for Sanskrit; `sa` is ISO 639-1 and in the IANA registry.
    assert {one.bcp47.split("-")[0] for one in TABLE.values()} - known == {"sa"}


def test_direction_follows_the_script():
    rtl = {one.script for one in TABLE.values() if one.direction == "rtl"}
    assert rtl == {"Arab", "Hebr", "Thaa"}
    assert all(one.direction == "ltr" for one in TABLE.values() if one.script not in rtl)


def test_autonyms_are_in_the_script_of_the_key():
    for one in TABLE.values():
        assert not one.autonym or one.script in main_scripts(one.autonym), one.key
    assert TABLE["als_Latn"].autonym == "shqip"  # LinguaMeta says Schwyzertüütsch
    assert TABLE["pan_Guru"].autonym == "ਪੰਜਾਬੀ"  # LinguaMeta has the Arabic-script name
    assert TABLE["ace_Arab"].autonym == ""  # only a Latin-script name is at hand


def test_chinese_names_are_cldrs_in_chinese_and_mean_one_key_each():
    named = {key: one.name_zh for key, one in TABLE.items() if one.name_zh}
    assert len(named) == len(set(named.values())) == 208
    assert all(regex.fullmatch(r"[\p{Han}（）-]+", name) for name in named.values())  # noqa: RUF001
    assert set(languages.codes("flores101")) <= set(named)
    # CLDR 47, common/main/zh.xml
    some = {
        "deu_Latn": "德语",
        "zho_Hans": "简体中文",
        "zho_Hant": "繁体中文",
        "prs_Arab": "达里语",
    }
    assert named.items() > some.items()
    assert TABLE["ace_Latn"].name_zh == "亚齐语"
    assert TABLE["ace_Arab"].name_zh == "亚齐语（阿拉伯文）"  # noqa: RUF001
    assert TABLE["crh_Latn"].name_zh == "克里米亚鞑靼语"  # one key, so no script
    assert TABLE["kbp_Latn"].name_zh == ""  # not in CLDR


@pytest.mark.data
def test_families_agree_with_belebele_but_for_its_known_errors(data_dir):
    rows = readme(data_dir, r"(\w{8})\^? \| .+ \| \w{4} \| (.+?)", "belebele")
    found = {languages.resolve(code, "belebele"): branch for code, branch in rows}
    assert len(rows) == 122
    assert set(found) == set(languages.codes("belebele"))
    branches = """Armenian | Balto-Slavic | Germanic | Hellenic | Indo-Aryan | Iranian |
    Paleo-Balkanic | Portuguese Creole | Romance"""
    above = dict.fromkeys(cells(branches), "Indo-European")
    above |= {"Kra-Dai": "Tai-Kadai", "Mongolic": "Mongolic-Khitan"}
    above |= {"Nilo-Saharan": "Nilotic", "kartvelian": "Kartvelian"}
    differing = {key for key, name in found.items() if above.get(name, name) != TABLE[key].family}
    # The README puts Nyanja and Tsonga (Bantu) into Afro-Asiatic, the creole with its substrate.
    assert differing == {"hat_Latn", "nya_Latn", "tso_Latn"}


@pytest.mark.data
def test_families_agree_with_the_descriptions_in_linguameta(linguameta):
    words = {
        "Afro-Asiatic": r"Afro-?Asiatic|Semitic|Berber|Chadic|Cushitic|Arabic",
        "Atlantic-Congo": r"Bantu|Niger.Congo|Nguni|Gurunsi|Fula\b",
        "Austroasiatic": r"Austro-?[Aa]siatic",
        "Austronesian": r"Austronesian|Polynesian|Malayo|Sulawesi|Visayan|Sumatran",
        "Dravidian": r"Dravidian",
        "Indo-European": r"Indo-(?:European|Aryan)|Germanic|Romance|Slavic|Iranian|Kurdish",
        "Mande": r"\bMande\b",
        "Sino-Tibetan": r"Tibet|Chinese",
        "Tai-Kadai": r"Kra",
        "Turkic": r"Turkic",
        "Uralic": r"Uralic|Finn",
    }
    checked, wrong = set(), set()
    for key, one in TABLE.items():
        text = linguameta[key[:3]]["wikidata_description"] if key[:3] in linguameta else ""
        says = {name for name, word in words.items() if re.search(word, text)}
        if len(says) == 1:
            (checked if says == {one.family} else wrong).add(key)
    assert wrong == set()
    assert len(checked) > 130


def test_every_language_has_a_family_and_all_but_esperanto_an_area():
    assert all(one.family and one.family != "Other" for one in TABLE.values())
    areas = {"Africa", "Americas", "Asia", "Europe", "Oceania"}
    assert [key for key, one in TABLE.items() if one.macro_area not in areas] == ["epo_Latn"]
    some = [TABLE[key].macro_area for key in ("eng_Latn", "eng_Latn_US", "hye_Armn", "tpi_Latn")]
    assert some == ["Europe", "Americas", "Asia", "Oceania"]


# The languages that the card of huggingface.co/Unbabel/wmt22-comet-da-marian declares.
XLMR = """
af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr
hu hy id is it ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps
pt ro ru sa sd si sk sl so sq sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh
"""


def test_xlmr_covers_the_published_list_and_nothing_else():
    expected = set(XLMR.split()) - {"br", "fy", "la"}  # no benchmark has these
    assert len(expected) == 90
    expected = expected - {"no", "zh"} | {"nb", "zh-Hans", "zh-Hant"}
    # fairseq's examples/xlmr/README.md adds "Romanize" to these; Serbian has two scripts.
    expected |= {"bn-Latn", "hi-Latn", "ur-Latn", "sr-Latn"}
    expected |= {"en-GB", "en-IN", "en-US", "es-MX", "fr-CA", "pt-BR"}
    assert {one.bcp47 for one in TABLE.values() if one.xlmr} == expected
    assert not TABLE["prs_Arab"].xlmr


@pytest.mark.data
def test_speakers_are_linguametas(linguameta):
    published = {code: row["estimated_number_of_speakers"] for code, row in linguameta.items()}
    assert published["lvs"] == "1"
    assert TABLE["lvs_Latn"].speakers == int(published["lav"])  # "1" is a fault of the source
    assert TABLE["swh_Latn"].speakers == int(published["swa"])  # the row swh is empty
    assert TABLE["srp_Latn"].speakers == TABLE["srp_Cyrl"].speakers == int(published["srp"])
    assert TABLE["liv_Latn"].speakers == 0
    assert TABLE["aeb_Arab"].speakers is None
    assert {one.resource_level for one in TABLE.values()} == {None}
