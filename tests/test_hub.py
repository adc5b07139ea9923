"""The hub, through the real `datasets` library on local folders; nothing is fetched."""

import dataclasses
import json
from types import SimpleNamespace

import pytest

from bayling_eval import hub, languages, sources
from bayling_eval.errors import UserError

PAIR = ("eng_Latn", "deu_Latn")
TEXTS = {
    "eng_Latn": ['One, "two".', " 2019-01-01 ", "a\u2028b\u0085c\td", "", "\U0001f600 e\u0301"],
    "deu_Latn": ["Eins, 'zwei'.", "null", "NaN", "1,5", "-"],
}
URLS = ["http://a", "http://a", "http://b", "http://b", "http://c"]
SHA = "0123456789abcdef0123456789abcdef01234567"
OTHER_SHA = "f" * 40


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Keep `datasets` off the network and out of the user's cache, and forget what was read."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    hub.rows.cache_clear()
    yield
    hub.rows.cache_clear()


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Write a data set as the hub holds them and let a family point to it."""

    def write(family, split, configs):
        root = tmp_path / "hub" / family
        root.mkdir(parents=True)
        card = ["---", "configs:"]
        for config, rows in configs.items():
            card += [f"- config_name: {config}", "  data_files:"]
            card += [f"  - split: {split}", f"    path: {config}.jsonl"]
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (root / f"{config}.jsonl").write_text("".join(lines), encoding="utf-8")
        (root / "README.md").write_text("\n".join([*card, "---", ""]))
        source = dataclasses.replace(hub.SETS[family], path=str(root))
        monkeypatch.setitem(hub.SETS, family, source)
        return root

    return write


def flores_rows(lang, urls=URLS):
    return [
        {"id": number, "URL": url, "sentence": text}
        for number, (url, text) in enumerate(zip(urls, TEXTS[lang], strict=True))
    ]


def local_flores(data):
    base = data / "flores200/flores200_dataset"
    (base / "devtest").mkdir(parents=True)
    for lang, lines in TEXTS.items():
        content = "".join(f"{line}\n" for line in lines)
        (base / "devtest" / f"{lang}.devtest").write_text(content, encoding="utf-8", newline="")
    (base / "metadata_devtest.tsv").write_text("".join(f"{url}\n" for url in ["URL", *URLS]))
    return data


def test_the_hub_gives_what_the_published_files_give(tmp_path, publish):
    publish("flores200", "devtest", {lang: flores_rows(lang) for lang in TEXTS})
    local = sources.parallel("flores200", *PAIR, local_flores(tmp_path / "data"))
    found = sources.parallel("flores200", *PAIR, None)
    assert dataclasses.replace(found, files=()) == dataclasses.replace(local, files=())
    assert found.documents == tuple(URLS)
    assert sources.reference_names("flores200", *PAIR, None) == ("ref",)


def test_the_files_of_a_hub_set_name_id_config_split_and_revision(publish):
    root = publish("flores200", "devtest", {lang: flores_rows(lang) for lang in TEXTS})
    files = sources.parallel("flores200", *PAIR, None).files
    assert [file.path for file in files] == [f"hub:{root}/{lang}/devtest@unknown" for lang in PAIR]
    assert [file.rows for file in files] == [5, 5]
    assert len({file.sha256 for file in files}) == 2


def test_the_digest_depends_on_the_content_alone(publish):
    publish("flores200", "devtest", {lang: flores_rows(lang) for lang in TEXTS})
    first = [file.sha256 for file in sources.parallel("flores200", *PAIR, None).files]
    hub.rows.cache_clear()
    again = [file.sha256 for file in sources.parallel("flores200", *PAIR, None).files]
    assert first == again


def test_xcopa_has_its_rows_under_the_hubs_name_of_the_split(tmp_path, publish):
    rows = [{"premise": "a\u2028b", "label": 0, "idx": 0}, {"premise": "ä", "label": 1, "idx": 1}]
    publish("xcopa", "validation", {"et": rows})
    found = sources.choices("xcopa", "est_Latn", "val", None)
    path = tmp_path / "data/xcopa/data/et/val.et.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    local = sources.choices("xcopa", "est_Latn", "val", tmp_path / "data")
    assert found.rows == local.rows == tuple(rows)
    assert found.files[0].path.endswith("/et/validation@unknown")


def test_ntrex_has_no_documents_there(publish):
    rows = {f"{lang}": [{"text": text} for text in TEXTS[lang]] for lang in TEXTS}
    publish("ntrex128", "test", rows)
    found = sources.parallel("ntrex128", *PAIR, None)
    assert found.sources == tuple(TEXTS["eng_Latn"])
    assert found.documents is None


def test_a_language_is_loaded_once(publish, monkeypatch):
    publish("flores200", "devtest", {lang: flores_rows(lang) for lang in TEXTS})
    loads = []
    load = hub._load
    monkeypatch.setattr(hub, "_load", lambda *args: (loads.append(args[1]), load(*args))[1])
    for _ in range(2):
        sources.parallel("flores200", *PAIR, None)
        sources.parallel("flores200", *PAIR[::-1], None)
    assert sorted(loads) == sorted(PAIR)


# Faults.


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_configuration_is_one_line_that_says_what_to_do(publish):
    root = publish("flores200", "devtest", {"eng_Latn": flores_rows("eng_Latn")})
    with pytest.raises(UserError) as caught:
        sources.parallel("flores200", *PAIR, None)
    message = one_line(caught)
    assert message.startswith(f"hub data set {root}, deu_Latn, devtest: ")
    assert message.endswith("give the published files with --data or $BAYLING_DATA")


def test_a_missing_split_is_one_line(publish):
    publish("flores200", "dev", {lang: flores_rows(lang) for lang in TEXTS})
    with pytest.raises(UserError, match="devtest"):
        sources.parallel("flores200", *PAIR, None)


def test_a_missing_column_is_named(publish):
    publish("flores200", "devtest", {lang: [{"text": "x"}] for lang in TEXTS})
    with pytest.raises(UserError, match="no column 'sentence': the data set has changed"):
        sources.parallel("flores200", *PAIR, None)


def test_a_row_without_a_text_is_not_the_text_none(publish):
    configs = {lang: flores_rows(lang) for lang in TEXTS}
    configs["deu_Latn"][2]["sentence"] = None
    publish("flores200", "devtest", configs)
    with pytest.raises(UserError, match="deu_Latn/devtest"):
        sources.parallel("flores200", *PAIR, None)


def test_files_that_differ_in_length_are_named(publish):
    configs = {"eng_Latn": flores_rows("eng_Latn"), "deu_Latn": flores_rows("deu_Latn")[:4]}
    publish("flores200", "devtest", configs)
    with pytest.raises(UserError, match=r"eng_Latn/devtest@unknown has 5 rows but .*deu_Latn.* 4"):
        sources.parallel("flores200", *PAIR, None)


def test_without_a_network_it_is_one_line_that_says_what_to_do():
    with pytest.raises(UserError) as caught:
        sources.parallel("flores200", *PAIR, None)
    message = one_line(caught)
    assert message.startswith("hub data set facebook/flores, eng_Latn, devtest: ")
    assert "--data or $BAYLING_DATA" in message


def test_a_damaged_file_is_one_line(publish):
    root = publish("flores200", "devtest", {lang: flores_rows(lang) for lang in TEXTS})
    (root / "deu_Latn.jsonl").write_text('{"sentence": "a"}\n{"sentence": \n')
    with pytest.raises(UserError) as caught:
        sources.parallel("flores200", *PAIR, None)
    assert one_line(caught).startswith(f"hub data set {root}, deu_Latn, devtest: ")


@pytest.mark.parametrize("family", ["wmt22", "flores", ""])
def test_a_family_without_a_copy_on_the_hub_is_an_error(family):
    message = f"the hub has no copy of {family} with all its references: give the published files"
    with pytest.raises(UserError, match=message):
        hub.rows(family, "eng_Latn", "test")


@pytest.mark.parametrize("family", hub.SETS)
def test_an_unknown_language_is_an_error(family):
    with pytest.raises(UserError, match=f"{family} has no language xxx_Latn"):
        hub.rows(family, "xxx_Latn", "test")


# Names of configurations and revisions.

# huggingface.co/datasets/davidstap/NTREX/viewer lists these of its 128 subsets; those that need
# a rule or an exception are here.
NTREX = "afr_Latn amh_Ethi arb_Arab aze_Latn bod_Tibt ckb_Arab deu_Latn dzo_Tibt eng-GB_Latn "
NTREX += "eng-IN_Latn eng-US_Latn eng_Latn fas_Arab fil_Latn fra-CA_Latn fra_Latn heb_Hebr "
NTREX += "hmn_Latn jpn_Jpan khm_Khmr kor_Hang lav_Latn mey_Arab mlg_Latn mon_Mong msa_Latn"


def test_configurations_of_ntrex_are_those_that_the_viewer_lists():
    ours = {hub._config("ntrex128", lang) for lang in languages.codes("ntrex128")}
    assert set(NTREX.split()) <= ours
    assert len(ours) == len(languages.codes("ntrex128"))


@pytest.mark.parametrize("family", ["flores101", "flores200", "xcopa"])
def test_configurations_of_the_others_are_the_codes_of_their_files(family):
    """The cards of gsarti/flores_101, facebook/flores and cambridgeltl/xcopa."""
    codes = languages.codes(family)
    assert {lang: hub._config(family, lang) for lang in codes} == codes


@pytest.mark.parametrize(
    ("path", "revision"),
    [
        # As datasets 5.2.0 writes them: ID/CONFIG/VERSION/REVISION/NAME-SPLIT.arrow.
        (f"/c/facebook___flores/eng_Latn/1.0.0/{SHA}/flores-devtest.arrow", SHA),
        (f"C:\\c\\facebook___flores\\eng_Latn\\1.0.0\\{SHA}\\flores-devtest.arrow", SHA),
        # A local folder has a short hash of its content instead.
        ("/c/flores/eng_Latn/0.0.0/fa7170ccb2e41608/flores-devtest.arrow", None),
        # A cache that lies in a folder of 40 digits, as a checkout of a CI runner does.
        (f"/ci/{OTHER_SHA}/c/facebook___flores/eng_Latn/1.0.0/{SHA}/flores-devtest.arrow", SHA),
        (f"/ci/{OTHER_SHA}/c/flores/eng_Latn/0.0.0/fa7170ccb2e41608/flores-devtest.arrow", None),
        # A SHA-256 is no commit.
        (f"/c/flores/eng_Latn/0.0.0/{'a' * 64}/flores-devtest.arrow", None),
    ],
)
def test_the_revision_is_read_from_the_path_of_the_cache(path, revision):
    assert hub._revision(SimpleNamespace(cache_files=[{"filename": path}])) == revision


def test_no_cached_file_is_no_revision():
    assert hub._revision(SimpleNamespace(cache_files=[])) is None


@pytest.mark.parametrize(("pinned", "shown"), [(None, SHA), (OTHER_SHA, OTHER_SHA)])
def test_the_revision_is_in_the_name(monkeypatch, pinned, shown):
    class Found(list):
        cache_files = ({"filename": f"/c/x/et/1.0.0/{SHA}/xcopa-test.arrow"},)

    asked = []
    monkeypatch.setattr(hub, "_load", lambda *args: (asked.append(args), Found([{"a": 1}]))[1])
    source = dataclasses.replace(hub.SETS["xcopa"], revision=pinned)
    monkeypatch.setitem(hub.SETS, "xcopa", source)
    assert hub.rows("xcopa", "est_Latn", "test").name == f"hub:cambridgeltl/xcopa/et/test@{shown}"
    assert asked == [(source, "et", "test")]
