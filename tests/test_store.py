"""The results folder: names, whole files, look-up, exports."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from bayling_eval import store
from bayling_eval.errors import UserError
from bayling_eval.provenance import digest, digest_file
from bayling_eval.records import (
    Manifest,
    ModelFile,
    Plan,
    PlannedTask,
    Score,
    ScoresFile,
    Settings,
    SettingsFile,
)

TASK = PlannedTask(
    task="flores200_eng_Latn-deu_Latn",
    family="flores200",
    src_lang="eng_Latn",
    tgt_lang="deu_Latn",
    lang=None,
    n=3,
    answers_digest=None,
)
DERIVED = (store.SAMPLES, store.STATISTICS, store.SCORES)
SECRET = b"a text that must not leave the house"


def add_system(results, name, model="one", seeds=(1,), families=("flores200",)):
    """Write a system with one scored cell for each family and seed; return its folder."""
    model_digest = digest([name, model])
    folder = results / f"{name}@{model_digest[:8]}"
    covers = {"kind": "imported", "name": name, "which": model}
    made = ModelFile(name=name, kind="imported", digest=model_digest, covers=covers)
    store.save(folder / store.MODEL, made)
    for family in families:
        for seed in seeds:
            settings = Settings(seed=seed)
            file = SettingsFile(
                digest=digest(settings.model_dump()), settings=settings, versions={"x": "1"}
            )
            cell = folder / family / file.digest[:8]
            store.save(cell / store.SETTINGS, file)
            store.save(cell / "all" / store.PLAN, Plan(tasks={TASK.task: TASK}))
            store.save(cell / "all" / store.SCORES, ScoresFile(rows=[score(name, file.digest)]))
            (cell / "all" / store.SAMPLES).write_bytes(SECRET)
            (cell / "all" / store.STATISTICS).write_bytes(b"numbers")
            files = {name: digest_file(cell / "all" / name) for name in DERIVED}
            manifest = Manifest(jobs=[], inputs_digest="0" * 64, tasks={}, files=files, versions={})
            store.save(cell / "all" / store.MANIFEST, manifest)
            (cell / "responses").mkdir()
            (cell / "responses/log.jsonl").write_bytes(SECRET)
    return folder


def score(name, settings_digest):
    given = TASK.model_dump(include={"task", "family", "src_lang", "tgt_lang", "lang", "n"})
    given |= {"system": name, "model": "m", "settings": settings_digest[:8], "selection": "all"}
    given |= {"num_fewshot": None, "metric": "bleu", "signature": "s", "value": 12.5}
    given |= {"higher_is_better": True, "documents_digest": None, "status": "ok"}
    return Score(settings_digest=settings_digest, **given)


def fault_of(call, *args):
    """Return the message of the user error that a call ends in."""
    with pytest.raises(UserError) as caught:
        call(*args)
    return str(caught.value)


# Names.

# CON is a device on Windows, but CON@01234567 is a folder.
GOOD = ["a", "0", "A" * 100, "BayLing-2-7B", "meta--Llama-3.1", "a+b_c.d-e", "CON", "x.zip", "1-"]


@pytest.mark.parametrize("name", GOOD)
def test_good_names(name):
    store.check_name(name)


BAD = r"../evil a/b a\b /etc a..b a. .hid . .. -rf --help _x +x a@b a:b a* a? ~a $HOME a|b".split()
BAD += ["", "a b", " a", "a ", "a\n", "a\0b", "a\x1b[31m", "a\x7f", "é", "百聆", "\uff41"]
BAD += ["a\u202egpj", "a\ufeff", "a\ud800", "A" * 101, "A" * 300]


@pytest.mark.parametrize("name", BAD, ids=lambda name: ascii(name[:20]))
def test_bad_names_are_refused_in_one_short_line(name):
    message = fault_of(store.check_name, name)
    assert f"({len(name)} characters) cannot be used: take 1 to 100 ASCII letters" in message
    # Only the ellipsis of a long name is not ASCII where the name is.
    assert message.isprintable()
    assert len(message) < 250


# Writing.


def test_write_replaces_the_whole_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "deep/er/file.json"
    for content in (b"a longer content", b"short", b""):
        store.write_atomic(path, content)
        assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["file.json"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(("owner", "name"), [(Path, "replace"), (os, "fsync"), (Path, "chmod")])
@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, owner, name, fault
):
    def fail(*_):
        raise fault

    path = tmp_path / "file.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(type(fault)):
        store.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.json"]


def test_the_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("fsync"), fsync(handle)))
    monkeypatch.setattr(
        Path, "replace", lambda self, other: (steps.append("replace"), replace(self, other))
    )
    store.write_atomic(tmp_path / "file", b"x")
    assert steps == ["fsync", "replace", "fsync"]


# Reading.


def test_what_is_saved_is_loaded(tmp_path):
    plan = Plan(tasks={"t": TASK.model_copy(update={"origin": "\u2028\0é\n.txt"})})
    store.save(tmp_path / "plan.json", plan)
    assert store.load(Plan, tmp_path / "plan.json") == plan
    assert json.loads((tmp_path / "plan.json").read_bytes())["schema_version"] == 1


MODEL = {"name": "a", "kind": "imported", "digest": "0" * 64, "covers": {}}


@pytest.mark.parametrize(
    ("content", "start"),
    [
        (b"", "m.json:1: not JSON"),
        (b"{", "m.json:1: not JSON"),
        (b'{\n "schema_version": 1,\n "name": }\n', "m.json:3: not JSON"),
        (b'{"name": "\xff"}', "m.json: not JSON"),
        (b"1" * 5000, "m.json: not JSON"),
        (b"[]", "m.json: no schema_version, so not a file of bayling_eval"),
        (b"null", "m.json: no schema_version"),
        (b"{}", "m.json: no schema_version"),
        (b'{"schema_version": "1"}', "m.json: no schema_version"),
        (b'{"schema_version": null}', "m.json: no schema_version"),
        (b'{"schema_version": 2, "new": 1}', "m.json: written by a newer version of bayling_eval"),
        (b'{"schema_version": 1, "name": "a"}', "m.json: field kind: Field required"),
        (json.dumps({"schema_version": 1, **MODEL, "x": 1}), "m.json: field x: "),
        (json.dumps({"schema_version": 1, **MODEL, "step": "one"}), "m.json: field step: "),
        (json.dumps({"schema_version": 1, **MODEL, "kind": "other"}), "m.json: field kind: "),
    ],
)
def test_a_file_that_is_not_ours_says_where_and_why(tmp_path, content, start):
    path = tmp_path / "m.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = fault_of(store.load, ModelFile, path)
    assert message.startswith(f"{tmp_path}/{start}")


def test_a_field_deep_inside_is_named(tmp_path):
    plan = {"schema_version": 1, "tasks": {"t": {**TASK.model_dump(), "n": "many"}}}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(UserError, match=r"plan\.json: field tasks\.t\.n: "):
        store.load(Plan, tmp_path / "plan.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"plan\.json is missing: "):
        store.load(Plan, tmp_path / "plan.json")


# Systems and cells.


def test_systems_come_by_name_and_other_folders_are_passed_over(tmp_path):
    for name in ("b", "a", "C"):
        add_system(tmp_path, name)
    (tmp_path / "published").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / store.MODEL).write_text("not read")
    (tmp_path / "file").write_text("not read")
    assert store.systems(tmp_path / "absent") == store.systems(tmp_path / "published") == []
    assert [system.name for system in store.systems(tmp_path)] == ["C", "a", "b"]


def test_cells_come_in_order_with_their_files(tmp_path):
    folder = add_system(tmp_path, "a", seeds=(1, 2), families=("wmt22", "flores200"))
    (folder / "flores200" / "00000000").mkdir()
    cells = store.find(tmp_path, "a").cells()
    keys = [(cell.family, cell.settings8, cell.selection) for cell in cells]
    assert keys == sorted(keys)
    assert [key[0] for key in keys] == ["flores200", "flores200", "wmt22", "wmt22"]
    cell = cells[0]
    assert cell.plan().tasks == {TASK.task: TASK}
    assert [row.value for row in cell.scores()] == [12.5]
    assert cell.responses == Path(cell.folder).parent / "responses"
    assert cell.settings.seed in {1, 2}


@pytest.mark.parametrize("name", DERIVED)
@pytest.mark.parametrize("content", [None, b"", b"{}", SECRET + b" or two"])
def test_only_what_the_manifest_names_counts(tmp_path, name, content):
    path = next(add_system(tmp_path, "a").rglob(name))
    cell = store.find(tmp_path, "a").cells()[0]
    assert cell.whole()
    assert {cell.verified(one) for one in DERIVED} == {path.parent / one for one in DERIVED}
    path.unlink() if content is None else path.write_bytes(content)
    assert not cell.whole()
    assert (cell.scores() == []) == (name == store.SCORES)
    assert f"{path} is missing or not what its manifest names" in fault_of(cell.verified, name)
    (path.parent / store.MANIFEST).unlink()
    assert (cell.manifest(), cell.scores(), cell.whole()) == (None, [], False)


# find.


def test_a_system_is_found_by_every_spelling(tmp_path):
    folder = add_system(tmp_path, "a", seeds=(1, 2))
    add_system(tmp_path, "b")
    full = store.find(tmp_path, "a")
    assert full.label == folder.name
    assert len(full.cells()) == 2
    for spec in (folder.name, str(folder), f"{folder}/", f"{folder.name}/"):
        assert store.find(tmp_path, spec).label == folder.name
    settings8 = full.cells()[1].settings8
    for spec in (f"{folder.name}/{settings8}", f"a/{settings8}"):
        one = store.find(tmp_path, spec)
        assert one.label == f"{folder.name}/{settings8}"
        assert [cell.settings8 for cell in one.cells()] == [settings8]


def test_several_of_a_name_are_listed_and_never_chosen_from(tmp_path):
    labels = sorted(add_system(tmp_path, "a", model).name for model in ("one", "two"))
    message = fault_of(store.find, tmp_path, "a")
    assert message == (f"2 systems are called 'a': write one of {labels[0]}, {labels[1]}")
    assert store.find(tmp_path, labels[1]).label == labels[1]


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("bayling", "unknown system 'bayling'. Did you mean 'bayling-7b'?"),
        ("zzz", "unknown system 'zzz'. Known: bayling-7b."),
        ("bayling-7b@00000000", "unknown system 'bayling-7b@00000000'. Did you mean"),
        ("", "unknown system ''. Known: bayling-7b."),
        (".", "unknown system '.'. "),
        ("..", "unknown system '..'. "),
        ("a\0b", "unknown system 'a\\x00b'. "),
        ("@", "unknown system '@'. "),
        ("/", "unknown system '/'. "),
        ("a" * 300, "unknown system 'aaaa"),
        ("x/" * 3000, "unknown system 'x/x/"),
    ],
)
def test_an_unknown_system_is_a_user_error(tmp_path, monkeypatch, spec, part):
    monkeypatch.chdir(tmp_path)
    add_system(tmp_path / "results", "bayling-7b")
    message = fault_of(store.find, tmp_path / "results", spec)
    assert message.startswith(part)
    assert "`bayling-eval ls systems`" in message


def test_unknown_settings_are_a_user_error_that_lists_those_there_are(tmp_path):
    folder = add_system(tmp_path, "a", seeds=(1, 2))
    have = ", ".join(
        sorted(f"{folder.name}/{cell.settings8}" for cell in store.find(tmp_path, "a").cells())
    )
    message = fault_of(store.find, tmp_path, "a/00000000")
    assert message == f"{folder.name} has no settings '00000000': write one of {have}"


# Exports.


def exported(tmp_path, *specs, with_text=False):
    path = tmp_path / "out.zip"
    chosen = [store.find(tmp_path / "results", spec) for spec in specs]
    store.export(chosen, path, with_text=with_text)
    return path


def test_an_export_reads_like_the_system(tmp_path):
    folder = add_system(tmp_path / "results", "a", seeds=(1, 2), families=("wmt22", "flores200"))
    path = exported(tmp_path, "a")
    inside, outside = store.find(tmp_path, str(path)), store.find(tmp_path / "results", "a")
    assert inside.label == outside.label == folder.name
    assert inside.model == outside.model
    assert len(inside.cells()) == 4
    for one, other in zip(inside.cells(), outside.cells(), strict=True):
        assert one.plan() == other.plan()
        assert one.manifest() == other.manifest()
        assert one.scores() == other.scores()
        assert one.settings_file == other.settings_file
        assert (one.family, one.selection) == (other.family, other.selection)
        with pytest.raises(UserError, match="is an export, which cannot be changed"):
            one.path(store.SCORES)


@pytest.mark.parametrize("with_text", [False, True])
def test_an_export_holds_texts_only_if_asked_for(tmp_path, with_text):
    add_system(tmp_path / "results", "a")
    path = exported(tmp_path, "a", with_text=with_text)
    with zipfile.ZipFile(path) as archive:
        names = {Path(name).name for name in archive.namelist()}
        assert archive.testzip() is None
        contents = b"".join(archive.read(name) for name in archive.namelist())
    expected = {"model.json", "settings.json", "plan.json", "manifest.json", "scores.json"}
    texts = {"samples.parquet"} if with_text else set()
    assert names == expected | {"statistics.parquet"} | texts
    assert (SECRET in contents) == with_text


@pytest.mark.parametrize("with_text", [False, True])
def test_the_same_systems_give_the_same_bytes(tmp_path, with_text):
    results = tmp_path / "results"
    folder = add_system(results, "a", seeds=(1, 2, 3), families=("wmt22", "flores200"))
    first = exported(tmp_path, "a", with_text=with_text).read_bytes()
    # Written again in another order, at another time, elsewhere; and the export of the export.
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file():
            target = tmp_path / "moved" / path.relative_to(results)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    for spec in (tmp_path / "moved" / folder.name, tmp_path / "out.zip"):
        again = tmp_path / "again.zip"
        store.export([store.find(tmp_path, str(spec))], again, with_text=with_text)
        assert again.read_bytes() == first


def test_an_export_of_named_settings_holds_only_those(tmp_path):
    add_system(tmp_path / "results", "a", seeds=(1, 2))
    settings8 = store.find(tmp_path / "results", "a").cells()[0].settings8
    path = exported(tmp_path, f"a/{settings8}")
    assert [cell.settings8 for cell in store.find(tmp_path, str(path)).cells()] == [settings8]


def test_of_an_export_of_several_systems_one_must_be_named(tmp_path):
    labels = sorted(add_system(tmp_path / "results", name).name for name in "ab")
    path = exported(tmp_path, "a", "b")
    message = fault_of(store.find, tmp_path, str(path))
    assert message.startswith(f"{path} holds 2 systems: write one of {path}:")
    assert all(one in message for one in labels)
    assert store.find(tmp_path, f"{path}:b").name == "b"
    assert store.find(tmp_path, f"{path}:{labels[0]}").name == "a"
    assert "write one of" in fault_of(store.find, tmp_path, f"{path}:c")


def test_what_is_no_export_is_a_user_error(tmp_path):
    text = tmp_path / "text"
    text.write_text("not a zip file")
    with pytest.raises(UserError, match="text is not an exported file"):
        store.find(tmp_path, str(text))
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a/b.txt", "x")
    with pytest.raises(UserError, match="holds 0 systems"):
        store.find(tmp_path, str(other))


def test_a_damaged_export_is_a_user_error(tmp_path):
    add_system(tmp_path / "results", "a")
    path = exported(tmp_path, "a")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0]
    start = len(first.FileHeader())
    contents = [b"", whole[: len(whole) // 2], whole[:-1]]
    # The last byte is mostly padding, which nothing covers.
    for place in range(start, start + first.compress_size - 1):
        contents.append(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"out\.zip"):
            store.find(tmp_path, str(path))
