"""Look-ups in the table of languages: codes, keys and sets."""

import pytest

from bayling_eval import languages
from bayling_eval.errors import UserError

# Code, benchmark (`-`: any), key and why the case is here.
RESOLVED = """
eng_Latn - eng_Latn a key is itself
fra_Latn_CA flores200 fra_Latn_CA in any benchmark
zh - zho_Hans
zh-Hant - zho_Hant BCP-47
cmn_Hans - zho_Hans FLORES+
twi_Latn_asan1239 - aka_Latn FLORES+
sat_Beng - sat_Olck older FLORES-200 READMEs
kea - kea_Latn the README's map has lim_Latn
lav - lvs_Latn the README's map has also lij_Latn, as "Latvian"
slv - slv_Latn not in the README's map
fuc - fuc_Latn Pulaar, another language than FLORES-101's ful
pt-BR - por_Latn_BR
srp - srp_Cyrl FLORES-101's spelling, though Serbian has two keys
ajp - ajp_Arab retired in ISO 639-3, still a file of FLORES-200
prs - prs_Arab fa-AF in CLDR
qu - qve_Latn XCOPA's
ku m2m100 ckb_Arab
aze-Latn ntrex128 azj_Latn
shi ntrex128 shi_Arab
ary_arab belebele ary_Arab so printed in Belebele's README
"""


@pytest.mark.parametrize(
    ("code", "benchmark", "key"), [line.split()[:3] for line in RESOLVED.strip().splitlines()]
)
def test_resolve(code, benchmark, key):
    assert languages.resolve(code, None if benchmark == "-" else benchmark) == key


@pytest.mark.parametrize(
    ("code", "candidates"),
    [
        ("zho", "zho_Hans, zho_Hant"),
        ("ku", "ckb_Arab, kmr_Latn"),  # M2M-100: Sorani; BCP-47: mostly Kurmanji
        ("apc", "ajp_Arab, apc_Arab"),
    ],
)
def test_ambiguous_codes_name_their_candidates(code, candidates):
    with pytest.raises(UserError, match=f"ambiguous: write one of {candidates}$"):
        languages.resolve(code)


@pytest.mark.parametrize(
    ("code", "benchmark", "message"),
    [
        ("chinese", None, r"Did you mean 'zho_Hans' \(Chinese \(Simplified\)\)"),
        ("Swahilli", None, r"Did you mean 'swh_Latn' \(Swahili\)"),
        ("deu_latn", None, "Did you mean 'deu_Latn'"),
        ("jpn", "mgsm", r"of mgsm. It writes 'ja' \(jpn_Jpan\)"),
        ("kor", "mgsm", r"mgsm has no kor_Hang \(Korean\)"),
        ("qqq", None, r"unknown language 'qqq'"),
        ("de", "mgms", r"unknown benchmark 'mgms'. Did you mean 'mgsm'"),
    ],
)
def test_unknown_codes_get_suggestions(code, benchmark, message):
    with pytest.raises(UserError, match=message):
        languages.resolve(code, benchmark)


def test_get():
    assert languages.get("jpn_Jpan").name == "Japanese"
    with pytest.raises(UserError, match="Did you mean 'jpn_Jpan'"):
        languages.get("jpn_Jpn")


def test_codes_are_file_spellings():
    spelt = languages.codes("flores200")
    assert len(spelt) == 204
    assert all(key == code for key, code in spelt.items())
    sizes = [len(languages.codes(name)) for name in languages.SPELLINGS]
    assert sizes == [204, 102, 130, 11, 122, 11, 11, 15, 34, 18, 102]
    with pytest.raises(UserError, match="unknown benchmark"):
        languages.codes("flores")


@pytest.mark.parametrize(
    ("spec", "benchmark", "keys"),
    [
        ("de, fr ,de", "mgsm", "deu_Latn | fra_Latn"),
        ("zh,eng_Latn", "flores101", "zho_Hans | eng_Latn"),
        ("ku", "flores101", "ckb_Arab"),  # only one of the two is in FLORES-101
        ("@rtl", "xnli", "arb_Arab | urd_Arab"),
        ("th,@mgsm", "xcopa", "tha_Thai | swh_Latn | zho_Hans"),
        ("@xlmr,ht", "xcopa", "est_Latn | ind_Latn | ita_Latn | swh_Latn | tam_Taml | tha_Thai |"
         "tur_Latn | vie_Latn | zho_Hans | hat_Latn"),
    ],
)  # fmt: skip
def test_expand(spec, benchmark, keys):
    assert languages.expand(spec, benchmark) == tuple(map(str.strip, keys.split("|")))
    assert languages.expand("@all", benchmark) == tuple(languages.codes(benchmark))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("@flores10", "Did you mean '@flores101'"),
        ("@small", "A set is @all, @xlmr, @rtl or the name of a benchmark"),
        ("ko", r"mgsm has no kor_Hang \(Korean\): remove 'ko'"),
        ("nope", "unknown language 'nope'"),
        ("@rtl", "no language is left"),
    ],
)
def test_expand_faults(spec, message):
    with pytest.raises(UserError, match=message):
        languages.expand(spec, "mgsm")
