"""The tables that ``make_languages.py`` adds to the published metadata, each with its source."""


def words(text: str) -> list[str]:
    """Split a table of words; keeps the long literals readable."""
    return text.split()


def pairs(text: str) -> dict[str, str]:
    """Split a table of `key:value` words."""
    return dict(word.split(":") for word in text.split())


SPELLINGS = words(
    "flores200 flores101 ntrex128 wmt22 belebele xcopa mgsm xnli okapi irokobench m2m100"
)
FACTS = words(
    "key bcp47 name autonym name_zh script direction family macro_area speakers resource_level xlmr"
)

# Keys that neither FLORES-200 nor Belebele has. Names: NTREX LANGUAGES.tsv; for WMT22 and XCOPA
# LinguaMeta (XCOPA's README: translated by an Eastern Apurímac Quechua speaker). The script of each
# was read in its file: NTREX shi and mey are in Arabic script, hmn in Latin.
EXTRA_NAMES = {
    "div_Thaa": "Divehi",
    "eng_Latn_GB": "English (British)",
    "eng_Latn_IN": "English (India)",
    "eng_Latn_US": "English (US)",
    "fra_Latn_CA": "French (Canada)",
    "fuc_Latn": "Pulaar",
    "gsw_Latn_BE": "Swiss German (Bern German)",
    "gsw_Latn_ZH": "Swiss German (Zurich German)",
    "hmn_Latn": "Hmong",
    "liv_Latn": "Liv",
    "mey_Arab": "Hassaniyya",
    "nde_Latn": "North Ndebele",
    "por_Latn_BR": "Portuguese (Brazil)",
    "qve_Latn": "Eastern Apurímac Quechua",
    "sah_Cyrl": "Yakut",
    "shi_Arab": "Shilha",
    "spa_Latn_MX": "Spanish (Mexico)",
    "srp_Latn": "Serbian (Latin)",
    "tah_Latn": "Tahitian",
    "ton_Latn": "Tonga (Tonga Islands)",
    "ven_Latn": "Venda",
}

# Individual languages that are written with the two-letter code of their macrolanguage: CLDR's
# languageAlias (the macro mappings that langcodes 3.5.1 applies). `pbt` is not there: FLORES-101's
# own map (pbt_Arab = pus). Left out although CLDR has them, because they lose the key: dik, fuc,
# prs, tgl, twi.
TWO_LETTER = pairs(
    "als:sq arb:ar ayr:ay azj:az gaz:om khk:mn kmr:ku knc:kr lvs:lv npi:ne ory:or pbt:ps "
    "pes:fa plt:mg swh:sw uzn:uz ydd:yi zsm:ms"
)
# Keys whose script is not the likely one of their language (CLDR likelySubtags, read with langcodes
# 3.5.1): there the tag names it. Chinese always names it, because fonts depend on it.
NAMED_SCRIPT = set(
    words(
        "ace_Arab arb_Latn ben_Latn bjn_Arab crh_Latn hin_Latn kas_Deva knc_Arab min_Arab "
        "npi_Latn shi_Arab sin_Latn srp_Latn taq_Tfng tzm_Tfng urd_Latn yue_Hant zho_Hans "
        "zho_Hant"
    )
)
# BCP-47 of the keys that no rule gives. ajp was merged into apc (IANA registry; LinguaMeta's row
# apc says so); BE and ZH of the Swiss German references are cantons, so they are subdivisions
# (-u-sd-), not regions.
TAGS = {
    "ajp_Arab": "apc",
    "gsw_Latn_BE": "gsw-u-sd-chbe",
    "gsw_Latn_ZH": "gsw-u-sd-chzh",
    "san_Deva": "sa",
}

# Right-to-left among the ISO 15924 scripts used here (Unicode Bidi_Class R and AL).
RTL = {"Arab", "Hebr", "Thaa"}
# How the Unicode names of a script's letters begin.
LETTERS = pairs(
    "Arab:ARABIC Armn:ARMENIAN Beng:BENGALI Cyrl:CYRILLIC Deva:DEVANAGARI Ethi:ETHIOPIC "
    "Geor:GEORGIAN Grek:GREEK Gujr:GUJARATI Guru:GURMUKHI Hang:HANGUL Hans:CJK Hant:CJK "
    "Hebr:HEBREW Jpan:CJK Khmr:KHMER Knda:KANNADA Laoo:LAO Latn:LATIN Mlym:MALAYALAM Mymr:MYANMAR "
    "Olck:OL Orya:ORIYA Sinh:SINHALA Taml:TAMIL Telu:TELUGU Tfng:TIFINAGH Thaa:THAANA Thai:THAI "
    "Tibt:TIBETAN"
)
# Autonyms from CLDR (babel 2.18.0, Locale.languages), where LinguaMeta has none in this script or a
# wrong one (its `als` says Schwyzertüütsch, its `ak` says Twi).
CLDR_AUTONYMS = {
    "aka_Latn": "Akan", "als_Latn": "shqip", "kab_Latn": "Taqbaylit", "kas_Deva": "कॉशुर",
    "mni_Beng": "মৈতৈলোন্", "pan_Guru": "ਪੰਜਾਬੀ", "prs_Arab": "دری", "san_Deva": "संस्कृत भाषा",
    "sat_Olck": "ᱥᱟᱱᱛᱟᱲᱤ", "srp_Latn": "srpski", "zho_Hans": "简体中文", "zho_Hant": "繁體中文",
}  # fmt: skip

# CLDR's ids of languages that it names in Chinese otherwise than by the tag: its languageAlias for
# prs and dik, its own id for azb, and for fuv FLORES-101's code `ful`.
CLDR_IDS = pairs("azb_Arab:az_Arab dik_Latn:din fuv_Latn:ff prs_Arab:fa_AF")
# CLDR names no subdivisions here, and the two would share one name.
NO_CHINESE = {"gsw_Latn_BE", "gsw_Latn_ZH"}

# Top-level families as Glottolog names them. For the languages of FLORES+ they were read from
# ufal/TokCollate @ 24fd4e26, language_data/languages.json ("families", collected from Glottolog):
# creoles go with their lexifier. Added by hand: div fuc gsw hmn liv mey nde qve sah shi tah ton
# ven, and those that FLORES+ files under another code (ajp aka est grn kon tgl tzm zho). Basque is
# an isolate, so it is its own family.
FAMILIES = {
    "Afro-Asiatic": "acm acq aeb ajp amh apc arb ars ary arz gaz hau heb kab mey mlt shi som taq "
    "tir tzm",
    "Artificial Language": "epo",
    "Atlantic-Congo": "aka bem cjk ewe fon fuc fuv ibo kam kbp kik kin kmb kon lin lua lug mos "
    "nde nso nya run sag sna sot ssw swh tsn tso tum twi umb ven wol xho yor "
    "zul",
    "Austroasiatic": "khm sat vie",
    "Austronesian": "ace ban bjn bug ceb fij ilo ind jav min mri pag plt smo sun tah tgl ton war "
    "zsm",
    "Aymaran": "ayr",
    "Basque": "eus",
    "Dravidian": "kan mal tam tel",
    "Hmong-Mien": "hmn",
    "Indo-European": "afr als asm ast awa bel ben bho bos bul cat ces ckb cym dan deu div ell eng "
    "fao fra fur gla gle glg gsw guj hat hin hne hrv hye isl ita kas kea kmr lij "
    "lim lit lmo ltg ltz lvs mag mai mar mkd nld nno nob npi oci ory pan pap pbt "
    "pes pol por prs ron rus san scn sin slk slv snd spa srd srp swe szl tgk tpi "
    "ukr urd vec ydd",
    "Japonic": "jpn",
    "Kartvelian": "kat",
    "Koreanic": "kor",
    "Mande": "bam dyu",
    "Mongolic-Khitan": "khk",
    "Nilotic": "dik luo nus",
    "Quechuan": "quy qve",
    "Saharan": "knc",
    "Sino-Tibetan": "bod dzo kac lus mni mya yue zho",
    "Tai-Kadai": "lao shn tha",
    "Tupian": "grn",
    "Turkic": "azb azj bak crh kaz kir sah tat tuk tur uig uzn",
    "Uralic": "est fin hun liv",
}
# UN M49 region of the territories that LinguaMeta names as locales of these languages.
M49 = {
    "Africa": "011 018 AO BF BI BJ BW CD CF CG CI CM CV DZ EG ER ET GH GQ KE LS MA MG ML MR MU MW "
    "MZ NG RW SD SN SO SS SZ TD TG TN TZ UG ZA ZM ZW",
    "Americas": "AN AW BO BQ BR BV CW GL HT MX PE PY SR SX",
    "Asia": "AF AM AZ BD BT CN CY GE HK ID IL IN IQ IR JP KG KH KP KR KZ LA LK MM MN MO MV MY NP "
    "PH PK SA SG TH TJ TL TM TR TW UZ VN YE",
    "Europe": "AD AL AT AX BA BE BG BY CH CZ DE DK EE ES FI FO FR GB GR HR HU IE IS IT LI LT LU "
    "LV MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA",
    "Oceania": "FJ NZ PF PG TO WS",
}
# Macro-areas where counting locales says nothing or misleads: languages spread by empire (where the
# language is from), none given (ajp apc arb san), Crimean Tatar ("001"), Yiddish (LinguaMeta: IL),
# Yakut (Siberia, but M49 puts all of Russia in Europe), Esperanto (nowhere). A key with a region
# has that region's area.
AREAS = {
    "": "epo",
    "Americas": "eng_Latn_US fra_Latn_CA por_Latn_BR spa_Latn_MX",
    "Asia": "ajp apc arb eng_Latn_IN sah san",
    "Europe": "crh ell eng eng_Latn_GB fra nld por spa ydd",
}

# The 100 entries that facebookresearch/fairseq @ e23e5eaa, examples/xlmr/README.md, lists for XLM-R
# (COMET's README @ 02d1bd2e prints the same), less six without a key here: Breton, Burmese in
# Zawgyi, Latin, Tamil and Telugu Romanized, Western Frisian. A macrolanguage stands for the one key
# that FLORES-101 gives it; its other members (Arabic dialects, azb, ckb, nno, prs, yue ...) are not
# listed, so they are not covered.
XLMR = set(
    words(
        "afr_Latn als_Latn amh_Ethi arb_Arab hye_Armn asm_Beng azj_Latn eus_Latn bel_Cyrl "
        "ben_Beng ben_Latn bos_Latn bul_Cyrl mya_Mymr cat_Latn zho_Hans zho_Hant hrv_Latn "
        "ces_Latn dan_Latn nld_Latn eng_Latn epo_Latn est_Latn tgl_Latn fin_Latn fra_Latn "
        "glg_Latn kat_Geor deu_Latn ell_Grek guj_Gujr hau_Latn heb_Hebr hin_Deva hin_Latn "
        "hun_Latn isl_Latn ind_Latn gle_Latn ita_Latn jpn_Jpan jav_Latn kan_Knda kaz_Cyrl "
        "khm_Khmr kor_Hang kmr_Latn kir_Cyrl lao_Laoo lvs_Latn lit_Latn mkd_Cyrl plt_Latn "
        "zsm_Latn mal_Mlym mar_Deva khk_Cyrl npi_Deva nob_Latn ory_Orya gaz_Latn pbt_Arab "
        "pes_Arab pol_Latn por_Latn pan_Guru ron_Latn rus_Cyrl san_Deva gla_Latn srp_Cyrl "
        "snd_Arab sin_Sinh slk_Latn slv_Latn som_Latn spa_Latn sun_Latn swh_Latn swe_Latn "
        "tam_Taml tel_Telu tha_Thai tur_Latn ukr_Cyrl urd_Arab urd_Latn uig_Arab uzn_Latn "
        "vie_Latn cym_Latn xho_Latn ydd_Hebr"
    )
)
# The list says "Serbian" and no script, and Serbian has two of equal standing.
XLMR.add("srp_Latn")

# FLORES+ labels of the same data (openlanguagedata/flores @ 39f541f3, CHANGELOG.md), and the script
# that older FLORES-200 READMEs gave Santali. The file spelling, which is the key, comes first.
FLORES_PLUS = pairs(
    "ajp_Arab:apc_Arab_sout3123 aka_Latn:twi_Latn_asan1239 apc_Arab:apc_Arab_nort3139 "
    "est_Latn:ekk_Latn grn_Latn:gug_Latn kon_Latn:ktu_Latn sat_Olck:sat_Beng tgl_Latn:fil_Latn "
    "twi_Latn:twi_Latn_akua1239 tzm_Tfng:zgh_Tfng zho_Hans:cmn_Hans zho_Hant:cmn_Hant"
)
# Rows that the map in the FLORES-200 README gets wrong (lij_Latn|Latvian, lim_Latn|kea) or lacks
# (slv).
MAP_ERRORS = {"Latvian", "kea"}
MAP_ADDED = {"kea": "kea_Latn", "slv": "slv_Latn"}

# File names of NTREX-128 (newstest2019-{src,ref}.CODE.txt), with NTREX-additional. `eng` is the
# source.
NTREX = (
    "afr amh arb aze-Latn bak bel bem ben bod bos bul cat ces ckb-Arab cym dan deu div dzo ell eng "
    "eng-GB eng-IN eng-US est eus ewe fao fas fij fil fin fra fra-CA fuc gle glg gsw-BE gsw-ZH guj "
    "hau heb hin hmn hrv hun hye ibo ind isl ita jpn kan kat kaz khm kin kir kmr kor lao lav lit "
    "ltz mal mar mey mkd mlg mlt mon mri msa mya nde nep nld nno nob nso nya orm pan pol por "
    "por-BR prs pus ron rus shi sin slk slv smo sna-Latn snd-Arab som spa spa-MX sqi srp-Cyrl "
    "srp-Latn ssw swa swe tah tam tat tel tgk-Cyrl tha tir ton tsn tuk tur uig ukr urd uzb ven vie "
    "wol xho yor yue zho-CN zho-TW zul"
)
# lm-eval 0.4.13: languages of tasks/xnli and of m_arc, m_hellaswag and m_mmlu in tasks/okapi (`en`,
# `is` and `nb` only in m_mmlu); the others from the file names of wmt22-news-systems (10 pairs),
# xcopa, mgsm and masakhane-nlu.
CODES = {
    "ntrex128": NTREX,
    "wmt22": "cs de en fr hr ja liv ru sah uk zh",
    "xcopa": "et ht id it qu sw ta th tr vi zh",
    "mgsm": "bn de en es fr ja ru sw te th zh",
    "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "okapi": "ar bn ca da de en es eu fr gu hi hr hu hy id is it kn ml mr nb ne nl pt ro ru sk sr "
    "sv ta te uk vi zh",
    "irokobench": "amh eng ewe fra hau ibo kin lin lug orm sna sot swa twi wol xho yor zul",
}
# What those codes mean where neither the ISO 639-3 part of one key nor a BCP-47 tag says it.
# Macrolanguage codes follow FLORES-101's map (msa = zsm_Latn); sqi, nep, mlg and fil, which it
# lacks, the same way.
MEANINGS = pairs(
    "aze-Latn:azj_Latn ben:ben_Beng fas:pes_Arab fil:tgl_Latn hin:hin_Deva lav:lvs_Latn "
    "mlg:plt_Latn mon:khk_Cyrl msa:zsm_Latn nep:npi_Deva orm:gaz_Latn arb:arb_Arab "
    "pus:pbt_Arab qu:qve_Latn sin:sin_Sinh sqi:als_Latn swa:swh_Latn urd:urd_Arab uzb:uzn_Latn "
    "zh:zho_Hans zho-CN:zho_Hans zho-TW:zho_Hant"
)
# The FLORES-101 README gives both Chinese files the code `zho`; the published tables (LLaMAX) write
# these.
M2M100_CHINESE = {"zho_simpl": "zh", "zho_trad": "zhtrad"}
