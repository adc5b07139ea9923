"""The bundled sample: complete, nothing twice, in the right script, and read from the package."""

import json
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
import regex

from bayling_eval import hooks, languages, resources, sources, strict_check, tasks
from bayling_eval.errors import UserError

FOLDER = resources.data_file("sample")
FLORES = languages.codes("flores101")
ASKED = languages.codes("sample_questions")
# Unicode's own names of scripts that ISO 15924 divides by use or joins.
SCRIPTS = {
    "Hans": r"\p{Hani}",
    "Hant": r"\p{Hani}",
    "Hang": r"\p{Hang}",
    # The long vowel mark of Katakana is Common.
    "Jpan": r"\p{Hani}\p{Hira}\p{Kana}",
}


def lines(key: str) -> list[str]:
    text = (FOLDER / "sentences" / f"{key}.txt").read_text(encoding="utf-8")
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


def questions(key: str) -> tuple:
    return sources.choices("sample_questions", key, "test", None).rows


def test_the_note_says_what_is_there_and_that_nobody_has_reviewed_it():
    note = json.loads((FOLDER / "sample.json").read_text(encoding="utf-8"))
    assert note["reviewed"] == "no"
    assert (note["languages"], note["sentences"]) == (len(FLORES), len(lines("eng_Latn")))
    assert (note["question_languages"], note["questions"]) == (len(ASKED), 16)
    for family in ("sample", "sample_questions"):
        readme = (resources.folder("tasks") / family / "README.md").read_text(encoding="utf-8")
        assert "- reviewed: no." in readme


def test_the_languages_are_those_of_flores101():
    assert {path.stem for path in (FOLDER / "sentences").iterdir()} == set(FLORES)
    assert {path.stem for path in (FOLDER / "questions").iterdir()} == set(ASKED)
    assert languages.codes("sample") == {key: key for key in FLORES}
    assert {*ASKED, "cym_Latn"} == set(languages.expand("cy,@sample_questions", "sample"))


@pytest.mark.parametrize("key", FLORES)
def test_sentences_are_sixteen_tidy_lines_in_the_script_of_their_language(key):
    found = lines(key)
    assert len(found) == 16
    script = languages.get(key).script
    own = SCRIPTS.get(script, rf"\p{{Script={script}}}")
    letter = regex.compile(rf"[{own}\p{{Script=Common}}\p{{Script=Inherited}}]")
    for line in found:
        assert line == unicodedata.normalize("NFC", line)
        assert line == " ".join(line.split(" ")).strip() != ""
        assert "  " not in line
        strange = [c for c in line if regex.match(r"\p{L}", c) and not letter.match(c)]
        assert not strange, line


def test_no_two_sentences_are_equal():
    seen = Counter(line.casefold() for key in FLORES for line in lines(key))
    assert [line for line, count in seen.items() if count > 1] == []


@pytest.mark.parametrize("key", ASKED)
def test_questions_have_one_answer_each_in_every_place_equally_often(key):
    rows = questions(key)
    assert len(rows) == 16
    for row in rows:
        assert set(row) == {"question", "choices", "answer"}
        assert len({choice.casefold() for choice in row["choices"]}) == 4
        for text in (row["question"], *row["choices"]):
            assert text == unicodedata.normalize("NFC", text).strip() != ""
    assert Counter(row["answer"] for row in rows) == dict.fromkeys(range(4), 4)


def test_no_two_questions_are_equal():
    seen = Counter(row["question"].casefold() for key in ASKED for row in questions(key))
    assert max(seen.values()) == 1


# How it is read


@pytest.mark.parametrize("key", sorted(set(FLORES) - {"eng_Latn"}))
def test_every_language_is_read_as_a_direction(key):
    found = sources.parallel("sample", "eng_Latn", key, None)
    assert found.sources == tuple(lines("eng_Latn"))
    assert found.references == {"ref": tuple(lines(key))}
    assert [file.path for file in found.files] == [
        "sample/sentences/eng_Latn.txt",
        f"sample/sentences/{key}.txt",
    ]


def test_no_data_folder_changes_what_is_read(tmp_path: Path, monkeypatch):
    (tmp_path / "sample" / "sentences").mkdir(parents=True)
    (tmp_path / "sample" / "sentences" / "deu_Latn.txt").write_text("Falsch.\n")
    for data in (None, tmp_path):
        found = sources.parallel("sample", "deu_Latn", "eng_Latn", data)
        assert found.sources == tuple(lines("deu_Latn"))
        assert sources.reference_names("sample", "deu_Latn", "eng_Latn", data) == ("ref",)
        rows = sources.choices("sample_questions", "deu_Latn", "test", data)
        assert rows.rows == questions("deu_Latn")
        assert [file.path for file in rows.files] == ["sample/questions/deu_Latn.jsonl"]
    files = sources.files_of("sample_questions", None, None, "deu_Latn", tmp_path)
    assert files == rows.files
    monkeypatch.setenv("BAYLING_DATA", str(tmp_path / "not there"))
    assert len(hooks.dataset(family="sample", src_lang="deu_Latn", tgt_lang="eng_Latn")["test"])


def test_other_languages_are_not_in_it():
    with pytest.raises(UserError, match="unknown sample language 'ace_Latn'"):
        sources.parallel("sample", "eng_Latn", "ace_Latn", None)
    with pytest.raises(UserError, match="unknown sample_questions language 'fra_Latn'"):
        sources.choices("sample_questions", "fra_Latn", "test", None)


# How lm-eval runs it


def test_lm_eval_builds_the_tasks_without_a_data_folder(monkeypatch):
    monkeypatch.delenv("BAYLING_DATA", raising=False)
    names = ["sample_eng_Latn-cym_Latn", "sample_tam_Taml-eng_Latn", "sample_questions_rus_Cyrl"]
    assert strict_check.check(None, names) == []
    task = strict_check.build(tasks.find("sample_eng_Latn-cym_Latn"))
    task.build_all_requests()
    prompt, settings = task.instances[0].args
    english = lines("eng_Latn")[0]
    assert prompt == f"Provide the Welsh translation for this sentence: {english}"
    assert settings == {
        "do_sample": False,
        "temperature": 0.0,
        "until": ["\n"],
        "max_gen_toks": 96,
    }


def test_lm_eval_asks_the_questions_with_every_choice():
    task = strict_check.build(tasks.find("sample_questions_rus_Cyrl"))
    task.build_all_requests()
    rows = questions("rus_Cyrl")
    asked = [request.args for request in task.instances]
    assert asked == [(row["question"], f" {choice}") for row in rows for choice in row["choices"]]
    assert [task.doc_to_target(doc) for doc in task.task_docs] == [row["answer"] for row in rows]


@pytest.mark.parametrize("name", ["sample_eng_Latn-deu_Latn", "sample_questions_deu_Latn"])
def test_shots_leave_the_evaluated_document_out(name):
    task = strict_check.build(tasks.find(name))
    task.set_config(key="num_fewshot", value=15)
    task.set_fewshot_seed(0)
    for doc in task.task_docs:
        prompt = task.fewshot_context(doc, num_fewshot=15)
        assert prompt.count(doc.get("source") or doc["question"]) == 1
