"""Hypothesis files become a system, all of them or none."""

from pathlib import Path

import pytest
from conftest import SEGMENTS, sentences, write_lines

from bayling_eval import evaluate, plan, responses, store
from bayling_eval.errors import IncompleteError, UserError
from bayling_eval.imports import Imported, ignored, import_outputs, task_of

TASK = "flores200_eng_Latn-deu_Latn"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """A folder of hypotheses with one direction."""
    write_lines(tmp_path / "outputs" / "eng_Latn-deu_Latn.txt", sentences("deu_Latn", 1))
    return tmp_path / "outputs"


@pytest.fixture
def imports(tmp_path, small_data, outputs):
    def run(name: str = "mine", suite: str = "flores200", **options: bool) -> list[Imported]:
        chosen = plan.selected(plan.load(suite))
        return import_outputs(tmp_path / "results", name, chosen, outputs, small_data, **options)

    return run


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_file_becomes_a_planned_task_with_answers(imports, tmp_path):
    (item,) = imports()
    assert item == Imported(TASK, "eng_Latn-deu_Latn.txt", SEGMENTS, 0, "added")
    (system,) = store.systems(tmp_path / "results")
    (cell,) = system.cells()
    planned = cell.plan().tasks[TASK]
    assert (planned.n, planned.src_lang, planned.origin) == (
        SEGMENTS,
        "eng_Latn",
        "eng_Latn-deu_Latn.txt",
    )
    answers = [r.answer for r in responses.read(cell.responses).answers.values()]
    assert answers == sentences("deu_Latn", 1)


def test_settings_of_an_imported_system_are_unknown(imports, tmp_path):
    imports()
    (cell,) = store.systems(tmp_path / "results")[0].cells()
    assert set(cell.settings.model_dump().values()) == {None}


def test_the_same_content_again_changes_nothing(imports, tmp_path):
    imports()
    before = listing(tmp_path / "results")
    (item,) = imports()
    assert item.outcome == "unchanged"
    assert listing(tmp_path / "results") == before


def test_more_directions_are_added(imports, tmp_path, outputs):
    imports()
    write_lines(outputs / "deu_Latn-eng_Latn.hypo", sentences("eng_Latn", 1))
    assert [item.outcome for item in imports()] == ["added", "unchanged"]
    (cell,) = store.systems(tmp_path / "results")[0].cells()
    assert set(cell.plan().tasks) == {TASK, "flores200_deu_Latn-eng_Latn"}


def test_other_content_needs_replace(imports, tmp_path, outputs):
    imports()
    before = listing(tmp_path / "results")
    write_lines(outputs / "eng_Latn-deu_Latn.txt", sentences("deu_Latn", 2))
    with pytest.raises(
        UserError, match=r"eng_Latn-deu_Latn.txt: mine has other outputs .*--replace"
    ):
        imports()
    assert listing(tmp_path / "results") == before
    assert [item.outcome for item in imports(replace=True)] == ["replaced"]
    (cell,) = store.systems(tmp_path / "results")[0].cells()
    answers = [r.answer for r in responses.read(cell.responses).answers.values()]
    assert answers == sentences("deu_Latn", 2)


def test_an_import_that_died_before_its_plan_is_finished_by_running_it_again(imports, tmp_path):
    imports()
    (cell,) = store.systems(tmp_path / "results")[0].cells()
    cell.path(store.PLAN).unlink()
    log = cell.responses / "import.jsonl"
    log.write_bytes(log.read_bytes()[:-40])
    assert [item.outcome for item in imports()] == ["added"]
    found = responses.read(cell.responses)
    assert not found.bad
    assert [r.answer for r in found.answers.values()] == sentences("deu_Latn", 1)


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_damaged_answers_are_mended_by_importing_again(imports, tmp_path, damage):
    imports()
    (cell,) = store.systems(tmp_path / "results")[0].cells()
    log = cell.responses / "import.jsonl"
    if damage == "gone":
        log.unlink()
    else:
        log.write_bytes(log.read_bytes().replace(b'"answer":"', b'"answer":"!', 1))
    assert [item.outcome for item in imports()] == ["mended"]
    answers = responses.read(cell.responses).answers
    assert sorted(r.answer for r in answers.values()) == sorted(sentences("deu_Latn", 1))
    assert [item.outcome for item in imports()] == ["unchanged"]


def test_a_replacement_that_died_before_its_plan_is_noticed(imports, tmp_path, outputs, small_data):
    imports()
    (cell,) = store.systems(tmp_path / "results")[0].cells()
    plan_before = cell.path(store.PLAN).read_bytes()
    write_lines(outputs / "eng_Latn-deu_Latn.txt", sentences("deu_Latn", 2))
    imports(replace=True)
    cell.path(store.PLAN).write_bytes(plan_before)
    with pytest.raises(IncompleteError, match="are not those that were planned"):
        evaluate.score_cell(cell, evaluate.Order(data=small_data))
    assert [item.outcome for item in imports(replace=True)] == ["replaced"]
    assert evaluate.score_cell(cell, evaluate.Order(data=small_data)) == 1


def test_two_processes_do_not_work_on_one_system(imports, tmp_path):
    imports()
    (system,) = store.systems(tmp_path / "results")
    with store.locked(system.folder), pytest.raises(UserError, match="another process"):
        imports()
    with store.locked(system.cells()[0].path("")), pytest.raises(UserError, match="another proc"):
        evaluate.score_cell(system.cells()[0], evaluate.Order())


def test_other_files_of_the_folder_are_named_and_left_alone(imports, outputs):
    (outputs / "README.md").write_text("")
    (outputs / "eng_Latn-deu_Latn.zh_prompt.hypo").write_text("")
    assert ignored(outputs) == ["README.md", "eng_Latn-deu_Latn.zh_prompt.hypo"]
    assert [item.file for item in imports()] == ["eng_Latn-deu_Latn.txt"]


def test_empty_lines_are_counted_and_kept(imports, outputs):
    lines = ["", "   ", *sentences("deu_Latn", 1)[2:]]
    write_lines(outputs / "eng_Latn-deu_Latn.txt", lines)
    (item,) = imports()
    assert (item.n, item.n_empty) == (SEGMENTS, 2)


def test_any_pair_of_a_whole_family_can_be_imported(imports, outputs):
    write_lines(outputs / "deu_Latn-tha_Thai.txt", sentences("tha_Thai", 1))
    assert imports()[0].task == "flores200_deu_Latn-tha_Thai"


def test_a_suite_file_with_languages_has_no_other_pairs(imports, outputs, tmp_path):
    suite = tmp_path / "small.toml"
    suite.write_text('[[tasks]]\nuse = "flores200"\nlanguages = "deu_Latn"\n')
    write_lines(outputs / "deu_Latn-tha_Thai.txt", sentences("tha_Thai", 1))
    with pytest.raises(UserError, match="unknown direction 'deu_Latn-tha_Thai'"):
        imports(suite=str(suite))


def _short(folder: Path) -> None:
    write_lines(folder / "eng_Latn-deu_Latn.txt", sentences("deu_Latn", 1)[:-1])


def _long(folder: Path) -> None:
    write_lines(folder / "eng_Latn-deu_Latn.txt", [*sentences("deu_Latn", 1), "mehr"])


def _latin1(folder: Path) -> None:
    (folder / "eng_Latn-deu_Latn.txt").write_bytes("gut\nVögel\n".encode("latin-1"))


def _unknown_direction(folder: Path) -> None:
    write_lines(folder / "eng_Latn-deu_Latm.txt", sentences("deu_Latn", 1))


def _same_language(folder: Path) -> None:
    write_lines(folder / "deu_Latn-deu_Latn.txt", sentences("deu_Latn", 1))


def _twice(folder: Path) -> None:
    write_lines(folder / "eng_Latn-deu_Latn.hypo", sentences("deu_Latn", 1))


def _none(folder: Path) -> None:
    (folder / "eng_Latn-deu_Latn.txt").rename(folder / "notes.md")


def _no_data(folder: Path) -> None:
    write_lines(folder / "eng_Latn-fra_Latn.txt", sentences("deu_Latn", 1))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_short, r"eng_Latn-deu_Latn.txt has 29 lines but flores200_eng_Latn-deu_Latn has 30"),
        (_long, r"has 31 lines .*one segment a line, empty ones too"),
        (_latin1, r"eng_Latn-deu_Latn.txt:2: not UTF-8 \(byte 0xf6\)"),
        (_unknown_direction, r"unknown direction 'eng_Latn-deu_Latm'. Did you mean"),
        (_same_language, r"unknown direction 'deu_Latn-deu_Latn'"),
        (_twice, r"eng_Latn-deu_Latn.hypo, eng_Latn-deu_Latn.txt are all .*keep one"),
        (_none, r"no hypothesis files in .*SRC-TGT.txt"),
        (_no_data, r"flores200 has no file for fra_Latn in .*fra_Latn.devtest is missing"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(imports, tmp_path, outputs, spoil, message):
    imports("other")
    before = listing(tmp_path / "results")
    spoil(outputs)
    with pytest.raises(UserError, match=message):
        imports()
    assert listing(tmp_path / "results") == before


@pytest.mark.parametrize(
    "name", ["..", "a/b", "a\\b", "a\x00b", "a\nb", "x" * 300, "", "-rf", "a..b"]
)
def test_a_dangerous_name_is_refused(imports, tmp_path, name):
    with pytest.raises(UserError, match="cannot be used"):
        imports(name)
    assert not (tmp_path / "results").exists()


@pytest.mark.data
def test_ntrex_codes_with_hyphens_are_understood(data_dir, tmp_path):
    chosen = plan.selected(plan.load("ntrex128"))
    for stem, task in {
        "eng-aze-Latn": "ntrex128_eng_Latn-azj_Latn",
        "eng-zho-CN": "ntrex128_eng_Latn-zho_Hans",
        "zho-TW-eng": "ntrex128_zho_Hant-eng_Latn",
        "por-BR-fra-CA": "ntrex128_por_Latn_BR-fra_Latn_CA",
    }.items():
        assert task_of(tmp_path / f"{stem}.txt", chosen).name == task
