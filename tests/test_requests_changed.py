"""A byte that changed: exactly the tasks made of it are rendered, and only what is new is asked."""

import os

import pytest
from conftest import SEGMENTS, sentences, write_lines
from echo_lab import TASKS, Lab


@pytest.fixture
def lab(tmp_path, small_data):
    return Lab(tmp_path, small_data)


def edit(path, change):
    """Put the second text in place of the first; the file's time moves on as by hand."""
    content, (before, after) = path.read_text(), change.split(">")
    assert content.count(before) == 1
    path.write_text(content.replace(before, after, 1))
    later = path.stat().st_mtime_ns + 10**10
    os.utime(path, ns=(later, later))


@pytest.mark.parametrize(
    ("lang", "touched", "asked"),
    [("eng_Latn", TASKS[:2], 2), ("zho_Hans", TASKS[2:], 1), ("deu_Latn", TASKS[::2], 0)],
)
def test_a_changed_line_of_data_is_asked_again_where_it_is_the_source(lab, lang, touched, asked):
    lab.ask()
    before = set(lab.asked())
    file = lab.data / "flores200" / "flores200_dataset" / "devtest" / f"{lang}.devtest"
    lines = sentences(lang)
    write_lines(file, [*lines[:7], f"{lines[7]}!", *lines[8:]])
    lab.ask()
    assert lab.rendered == touched
    now = lab.asked()
    assert len(now) == asked
    assert before.isdisjoint(now)
    assert {ids[0] for documents in lab.expected().values() for ids in documents[7:8]} >= set(now)
    assert lab.unfinished() == []
    lab.ask()
    assert (lab.asked(), lab.rendered) == ([], [])


TEMPLATE = """\
output_type: generate_until
custom_dataset: !function bayling_eval.hooks.dataset
test_split: test
doc_to_text: !function utils.prompt
doc_to_target: "{{reference}}"
generation_kwargs: {until: ["."], max_gen_toks: 20}
# a comment
"""
UTILS = """\
# a comment
def prompt(doc):
    return f"Say in {doc['tgt_name']}: {doc['source']}"
"""
DATASET = """

def dataset(**metadata):
    docs = [{"source": str(n), "reference": "x", "tgt_name": "Y"} for n in range(4)]
    return {"test": __import__("datasets").Dataset.from_list(docs)}
"""
OWN = """\
include: _shared
task: flores200_mine_{name}
metadata: {{version: 1.0, family: {family}, src_lang: eng_Latn, tgt_lang: {lang}}}
"""
FIRST, SECOND = MINE = ["flores200_mine_a", "flores200_mine_b"]


@pytest.fixture
def mine(tmp_path):
    """Two tasks of a user's own that share a template and functions; one has its own prompt."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "_shared").write_text(TEMPLATE)
    (folder / "utils.py").write_text(UTILS)
    own = 'doc_to_text: "Own words: {{source}}"\n'
    for name, lang, more in (("a", "deu_Latn", ""), ("b", "tha_Thai", own)):
        text = OWN.format(name=name, lang=lang, family="flores200")
        (folder / f"{name}.yaml").write_text(text + more)
    return folder


@pytest.mark.parametrize(
    ("file", "change", "touched", "asked"),
    [
        ("a.yaml", "1.0>1.1", [FIRST], 0),
        ("b.yaml", "Own>own", [SECOND], SEGMENTS),
        ("_shared", "comment>commend", MINE, 0),
        ("_shared", "{{reference}}>{{reference}}.", MINE, 0),
        ("_shared", "toks: 20>toks: 21", MINE, 2 * SEGMENTS),
        ("utils.py", "comment>commend", MINE, 0),
        ("utils.py", "Say>say", MINE, SEGMENTS),
    ],
)
def test_a_changed_byte_of_a_task_touches_what_is_made_of_it(
    lab, mine, file, change, touched, asked
):
    lab.ask(include=mine)
    assert len(lab.asked()) == 2 * SEGMENTS
    edit(mine / file, change)
    lab.ask(include=mine)
    assert lab.rendered == touched
    assert len(lab.asked()) == asked
    lab.ask(include=mine)
    assert (lab.asked(), lab.rendered) == ([], [])


def test_a_task_that_reads_its_data_by_itself_is_rendered_each_time_and_only_what_is_new_asked(
    lab, mine
):
    for name in "ab":
        edit(mine / f"{name}.yaml", "family: flores200>family: mine")
    edit(mine / "_shared", "bayling_eval.hooks.dataset>utils.dataset")
    (mine / "utils.py").write_text(f"{UTILS}{DATASET}")
    for asked in (8, 0):
        lab.ask(include=mine)
        assert (len(lab.asked()), lab.rendered) == (asked, MINE)
        assert lab.unfinished(include=mine) == []
    edit(mine / "utils.py", "range(4)>range(1, 5)")
    lab.ask(include=mine)
    # Documents are known by number and content: each number has another content now.
    assert len(lab.asked()) == 8
