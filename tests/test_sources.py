"""The published layouts, on small folders written here."""

import json
import os
import shutil
from pathlib import Path

import pytest

from bayling_eval import languages, sources
from bayling_eval.errors import UserError

ENG = ["One.", "Two.", "Three."]
DEU = ["Eins.", "Zwei.", "Drei."]
URLS = ["http://a", "http://a", "http://b"]


def put(path, lines, end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode())
    return path


def flores(data, family="flores200", codes=("eng_Latn", "deu_Latn"), metadata="metadata"):
    root = data / family / f"{family}_dataset"
    for code, lines in zip(codes, (ENG, DEU), strict=True):
        put(root / "devtest" / f"{code}.devtest", lines)
    rows = ["URL\tdomain\ttopic", *(f'{url}\twikinews\tthe "quoted, topic' for url in URLS)]
    put(root / f"{metadata}_devtest.tsv", rows)
    return root


def ntrex(data, documents=URLS):
    root = data / "ntrex128"
    put(root / "NTREX-128/newstest2019-src.eng.txt", ENG, "\r\n")
    put(root / "NTREX-128/newstest2019-ref.deu.txt", DEU, "\r\n")
    put(root / "NTREX-128/newstest2019-ref-2.deu.txt", ["other"] * 3, "\r\n")
    put(root / "DOCUMENT_IDS.tsv", documents, "\r\n")
    return root


def wmt22(data, references=("A", "B", "stud")):
    root = data / "wmt22/txt"
    put(root / "sources/generaltest2022.en-de.src.en", ENG)
    for name in references:
        lines = [f"{name} {line}" for line in DEU]
        put(root / f"references/generaltest2022.en-de.ref.{name}.de", lines)
    put(root / "references/generaltest2022.en-hr.ref.Z.hr", ["never"])
    put(root / "sources/generaltest2022.de-en.src.de", DEU)
    return root


PAIR = ("eng_Latn", "deu_Latn")
LAYOUTS = pytest.mark.parametrize(
    ("family", "make"), [("flores200", flores), ("ntrex128", ntrex), ("wmt22", wmt22)]
)


def xcopa(data, lines, split="test"):
    return put(data / f"xcopa/data/et/{split}.et.jsonl", lines)


def fault_of(call, *args):
    """Return the message of the user error that a call ends in."""
    with pytest.raises(UserError) as caught:
        call(*args)
    return str(caught.value)


# The layouts.


@pytest.mark.parametrize(
    ("family", "codes", "metadata"),
    [
        ("flores200", ("eng_Latn", "deu_Latn"), "metadata"),
        ("flores101", ("eng", "deu"), "metedata"),
        ("flores101", ("eng", "deu"), "metadata"),
    ],
)
def test_flores(tmp_path, family, codes, metadata):
    flores(tmp_path, family, codes, metadata)
    found = sources.parallel(family, *PAIR, tmp_path)
    assert (found.family, found.src_lang, found.tgt_lang) == (family, *PAIR)
    assert found.sources == tuple(ENG)
    assert found.references == {"ref": tuple(DEU)}
    assert found.documents == tuple(URLS)
    base = f"{family}/{family}_dataset"
    names = [f"devtest/{code}.devtest" for code in codes] + [f"{metadata}_devtest.tsv"]
    assert [file.path for file in found.files] == [f"{base}/{name}" for name in names]
    assert [file.rows for file in found.files] == [3, 3, 3]
    # printf 'One.\nTwo.\nThree.\n' | sha256sum
    expected = "f6aaae48e3e4748ef216ac72007655bf4f3893484ec6e737a6cec0e55a99ec9b"
    assert found.files[0].sha256 == expected


def test_ntrex(tmp_path):
    ntrex(tmp_path)
    found = sources.parallel("ntrex128", *PAIR, tmp_path)
    assert found.sources == tuple(ENG)
    assert found.references == {"ref": tuple(DEU)}
    assert found.documents == tuple(URLS)
    back = sources.parallel("ntrex128", *PAIR[::-1], tmp_path)
    assert (back.sources, back.references["ref"]) == (tuple(DEU), tuple(ENG))


def test_ntrex_prefers_the_additional_folder(tmp_path):
    root = ntrex(tmp_path)
    swiss = next(key for key, code in languages.codes("ntrex128").items() if code == "gsw-BE")
    put(root / "NTREX-additional/newstest2019-ref.gsw-BE.txt", DEU)
    found = sources.parallel("ntrex128", "eng_Latn", swiss, tmp_path)
    assert found.references["ref"] == tuple(DEU)
    assert found.files[1].path == "ntrex128/NTREX-additional/newstest2019-ref.gsw-BE.txt"


def test_wmt22_has_several_references_in_order(tmp_path):
    wmt22(tmp_path, ("stud", "B", "A"))
    found = sources.parallel("wmt22", *PAIR, tmp_path)
    assert list(found.references) == ["A", "B", "stud"]
    assert found.references["B"] == tuple(f"B {line}" for line in DEU)
    assert found.documents is None
    assert len(found.files) == 4
    assert sources.reference_names("wmt22", *PAIR, tmp_path) == ("A", "B", "stud")


def test_xcopa(tmp_path):
    rows = [{"premise": "a\u2028b", "label": 0, "idx": 0}, {"premise": "ä", "label": 1, "idx": 1}]
    lines = [json.dumps(rows[0], ensure_ascii=False), json.dumps(rows[1])]
    xcopa(tmp_path, lines)
    xcopa(tmp_path, lines[:1], "val")
    found = sources.choices("xcopa", "est_Latn", "test", tmp_path)
    assert found.rows == tuple(rows)
    assert [(file.path, file.rows) for file in found.files] == [("xcopa/data/et/test.et.jsonl", 2)]
    assert len(sources.choices("xcopa", "est_Latn", "val", tmp_path).rows) == 1


@pytest.mark.parametrize("make", [flores, ntrex])
def test_documents_may_be_absent(tmp_path, make):
    root = make(tmp_path)
    for path in root.glob("*.tsv"):
        path.unlink()
    found = sources.parallel(root.relative_to(tmp_path).parts[0], *PAIR, tmp_path)
    assert found.documents is None
    assert len(found.files) == 2


def test_files_of_names_what_is_read(tmp_path):
    flores(tmp_path)
    xcopa(tmp_path, ["{}"])
    found = sources.files_of("flores200", *PAIR, None, tmp_path)
    assert found == sources.parallel("flores200", *PAIR, tmp_path).files
    with pytest.raises(UserError, match=r"val.et.jsonl is missing"):
        sources.files_of("xcopa", None, None, "est_Latn", tmp_path)
    shutil.copy(tmp_path / "xcopa/data/et/test.et.jsonl", tmp_path / "xcopa/data/et/val.et.jsonl")
    found = sources.files_of("xcopa", None, None, "est_Latn", tmp_path)
    assert [Path(file.path).name for file in found] == ["val.et.jsonl", "test.et.jsonl"]


# Lines.


ODD = "a\u2028b\u2029c\u0085d\ve\ff\x1cg\x1dh\x1ei\0j"
LINES = {"": (), "\n": ("",), "a": ("a",), "a\n": ("a",), "a\n\n": ("a", "")}
LINES |= {"a\n\nb": ("a", "", "b"), "a\r\nb\r\n": ("a", "b"), "a\r\nb": ("a", "b")}
LINES |= {"a\r\n\r\n": ("a", ""), " a \t\n": (" a \t",), "a\rb\n": ("a\rb",)}
LINES |= {f"{ODD}\n": (ODD,), "\u00e9e\u0301\n": ("\u00e9e\u0301",)}


@pytest.mark.parametrize(("content", "lines"), LINES.items())
def test_lines_are_split_at_line_feeds_alone(tmp_path, content, lines):
    path = tmp_path / "file"
    path.write_bytes(content.encode())
    assert sources.read_lines(path) == lines


NOT_UTF8 = [
    (b"\xff", 1, "0xff"),
    (b"a\nb\xe9\nc\n", 2, "0xe9"),
    (b"a\r\n\xed\xa0\x80\n", 2, "0xed"),
]
NOT_UTF8 += [("ä\n".encode() * 9 + b"\xc3\n", 10, "0xc3"), ("a\n".encode("utf-16"), 1, "0xff")]


@pytest.mark.parametrize(("content", "line", "byte"), NOT_UTF8)
def test_what_is_not_utf8_is_named_with_its_line(tmp_path, content, line, byte):
    path = tmp_path / "file"
    path.write_bytes(content)
    message = fault_of(sources.read_lines, path)
    assert message.startswith(f"{path}:{line}: not UTF-8 (byte {byte}): ")


def test_a_document_with_odd_characters_stays_one_row(tmp_path):
    root = flores(tmp_path)
    rows = ["domain\tURL", "x\u2028y\thttp://1", '"x\thttp://2', "x\vy\rz\t"]
    put(root / "metadata_devtest.tsv", rows)
    found = sources.parallel("flores200", *PAIR, tmp_path)
    assert found.documents == ("http://1", "http://2", "")


# Faults.


@LAYOUTS
def test_a_missing_family_is_named(tmp_path, family, make):
    message = fault_of(sources.parallel, family, *PAIR, tmp_path)
    assert message.startswith(f"no folder {family} in {tmp_path}: ")
    assert f"tasks/{family}/README.md" in message


@LAYOUTS
@pytest.mark.parametrize("side", [0, 1])
def test_a_missing_language_is_named(tmp_path, family, make, side):
    make(tmp_path)
    pair = ["eng_Latn", "deu_Latn"]
    pair[side] = "ces_Latn"
    message = fault_of(sources.parallel, family, *pair, tmp_path)
    assert message.startswith(f"{family} has no ")
    assert "ces_Latn" in message
    assert message.endswith(" is missing")


@LAYOUTS
@pytest.mark.parametrize("lines", [ENG[:2], [*ENG, "Four."]])
def test_files_that_differ_in_length_are_named(tmp_path, family, make, lines):
    make(tmp_path)
    source = tmp_path / sources.parallel(family, *PAIR, tmp_path).files[0].path
    put(source, lines)
    message = fault_of(sources.parallel, family, *PAIR, tmp_path)
    assert f"has 3 lines but {source.relative_to(tmp_path).as_posix()} has {len(lines)}" in message


def test_documents_that_differ_in_number_are_named(tmp_path):
    ntrex(tmp_path, URLS[:2])
    with pytest.raises(UserError, match=r"DOCUMENT_IDS.tsv has 2 lines but .* has 3"):
        sources.parallel("ntrex128", *PAIR, tmp_path)


@LAYOUTS
def test_files_without_a_line_are_named(tmp_path, family, make):
    """All empty, as after a download that broke off, they agree in length but score nothing."""
    make(tmp_path)
    for file in sources.parallel(family, *PAIR, tmp_path).files:
        (tmp_path / file.path).write_bytes(b"")
    with pytest.raises(UserError, match=family):
        sources.parallel(family, *PAIR, tmp_path)


BROKEN = {
    "empty": ([], 1),
    "no header": (["no header", "x", "x", "x"], 1),
    "short row": (["domain\tURL", "a\thttp://1", "b", "c\thttp://3"], 3),
    "blank row": (["domain\tURL", "a\thttp://1", "", "c\thttp://3"], 3),
}


@pytest.mark.parametrize(("rows", "line"), BROKEN.values(), ids=BROKEN)
def test_broken_metadata_is_named_with_its_line(tmp_path, rows, line):
    path = put(flores(tmp_path) / "metadata_devtest.tsv", rows)
    assert fault_of(sources.parallel, "flores200", *PAIR, tmp_path).startswith(f"{path}:{line}: ")


BROKEN_CHOICES = [
    (["{}", "{", "{}"], ":2: not JSON"),
    (["{}", "", "{}"], ":2: not JSON"),
    (["{}", "{} {}"], ":2: not JSON"),
    (['{"a": "\u2028"}', "[1]"], ":2: not a JSON object"),
    (["null"], ":1: not a JSON object"),
]


@pytest.mark.parametrize(("lines", "end"), BROKEN_CHOICES)
def test_a_broken_line_of_choices_is_named(tmp_path, lines, end):
    path = xcopa(tmp_path, lines)
    message = fault_of(sources.choices, "xcopa", "est_Latn", "test", tmp_path)
    assert message.startswith(f"{path}{end}")


NO_CHOICES = [
    ("xcopa", "ita_Latn", "test", "xcopa has no file for ita_Latn in "),
    ("xcopa", "est_Latn", "train", "xcopa has no file for est_Latn in "),
    ("xcopa", "deu_Latn", "test", "unknown xcopa language 'deu_Latn'"),
    ("flores200", "est_Latn", "test", "unknown multiple-choice benchmark 'flores200'"),
]


@pytest.mark.parametrize(("family", "lang", "split", "start"), NO_CHOICES)
def test_missing_choices_are_named(tmp_path, family, lang, split, start):
    xcopa(tmp_path, ["{}"])
    assert fault_of(sources.choices, family, lang, split, tmp_path).startswith(start)


NO_PAIR = [
    ("flores", "deu_Latn", "unknown translation benchmark 'flores'"),
    ("xcopa", "est_Latn", "unknown translation benchmark 'xcopa'"),
    ("../flores200", "deu_Latn", "unknown translation benchmark '../flores200'"),
    ("wmt22", "deu_Latn", "wmt22 has no reference for deu_Latn-eng_Latn in "),
    ("wmt22", "xxx_Latn", "unknown wmt22 language 'xxx_Latn'"),
]


@pytest.mark.parametrize(("family", "src", "start"), NO_PAIR)
def test_pairs_that_are_not_there_are_named(tmp_path, family, src, start):
    wmt22(tmp_path)
    assert fault_of(sources.parallel, family, src, "eng_Latn", tmp_path).startswith(start)


# The data folder and the cache.


def test_data_folder_is_the_argument_then_the_environment_then_the_hub(tmp_path, monkeypatch):
    monkeypatch.delenv("BAYLING_DATA", raising=False)
    assert sources.data_folder(None) is None
    monkeypatch.setenv("BAYLING_DATA", "")
    assert sources.data_folder(None) is None
    monkeypatch.setenv("BAYLING_DATA", str(tmp_path))
    assert sources.data_folder(None) == tmp_path
    (other := tmp_path / "other").mkdir()
    assert sources.data_folder(other) == other


@pytest.mark.parametrize("name", ["absent", "file"])
def test_a_data_folder_that_is_none_is_named(tmp_path, monkeypatch, name):
    (tmp_path / "file").write_text("not a folder")
    path = tmp_path / name
    monkeypatch.setenv("BAYLING_DATA", str(path))
    for argument in (None, path):
        with pytest.raises(UserError, match=rf"no data folder at {path}: .*--data or \$BAYLING_D"):
            sources.data_folder(argument)


@pytest.mark.parametrize("lines", [["Un.", "Deux.", "Trois!"], ["Uno.", "Dos.", "Tres."]])
def test_a_changed_file_is_read_again(tmp_path, lines):
    root = flores(tmp_path)
    before = sources.parallel("flores200", *PAIR, tmp_path)
    path = put(root / "devtest/eng_Latn.devtest", lines)
    # A second later, whatever the clock of the file system counts in.
    changed = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(changed, changed))
    after = sources.parallel("flores200", *PAIR, tmp_path)
    assert after.sources == tuple(lines)
    assert after.files[0].sha256 != before.files[0].sha256
    assert after.files[1:] == before.files[1:]


def test_what_must_be_known_of_two_families_is_said_once():
    assert len(sources.notices(["sample", "sample_questions", "flores200", "sample"])) == 1
    assert sources.notices(["flores200", "wmt22"]) == []
