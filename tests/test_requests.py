"""What is missing is asked, once; what is kept is not; whatever happened to the log before."""

import itertools
import os
from collections import Counter

import pytest
from conftest import SEGMENTS
from echo_lab import PAIRS, TASKS, Lab, Stops, flat, some
from hypothesis import given
from hypothesis import strategies as st

from bayling_eval import backends, requests, responses, store
from bayling_eval.errors import RuntimeFault, UserError
from bayling_eval.plan import SuiteTasks
from bayling_eval.provenance import digest_lines
from bayling_eval.requests import WHOLE, Shard

THIRDS = [Shard(index, 3) for index in (1, 2, 3)]
ALL = len(TASKS) * SEGMENTS


@pytest.fixture
def lab(tmp_path, small_data):
    return Lab(tmp_path, small_data)


@pytest.fixture
def questions(tmp_path):
    """The bundled questions, with four choices each: no data folder is needed."""
    return Lab(tmp_path, None), SuiteTasks(use="sample_questions", languages="deu_Latn,eng_Latn")


def only_file(lab):
    (file,) = lab.targets()[0].responses.glob("*.jsonl")
    return file


def flip(file, line):
    """Change a letter within a record; return the request it was the answer of."""
    lines = file.read_bytes().splitlines(keepends=True)
    before = lines[line]
    lines[line] = before.replace(b'"answer":"', b'"answer":"~', 1)[: len(before) - 1] + b"\n"
    assert len(lines[line]) == len(before)
    file.write_bytes(b"".join(lines))
    return before.split(b'"')[3].decode()


# Shards


@given(st.text(), st.integers(0, 10**6), st.integers(1, 20))
def test_a_document_is_in_exactly_one_shard(task, doc_id, of):
    holding = [
        shard for index in range(1, of + 1) if (shard := Shard(index, of)).holds(task, doc_id)
    ]
    assert len(holding) == 1


def test_shards_are_of_about_one_size_and_have_a_file_each():
    for shard in THIRDS:
        assert 300 < sum(shard.holds(TASKS[0], doc_id) for doc_id in range(1000)) < 367
    assert all(WHOLE.holds(TASKS[0], doc_id) for doc_id in range(100))
    names = {Shard(index, of).writer for of in (1, 2, 3, 12) for index in range(1, of + 1)}
    assert len(names) == 1 + 2 + 3 + 12


def test_three_shards_ask_every_request_once_and_the_last_completes_the_plan(lab):
    asked = []
    for done, shard in enumerate(THIRDS):
        assert done == 0 or lab.unfinished() == TASKS
        lab.ask(shard=shard)
        asked.append(lab.asked())
    assert all(asked)
    assert Counter(itertools.chain(*asked)) == Counter(flat(lab.expected()))
    assert lab.unfinished() == []
    assert [work.todo for work in lab.works(shard=THIRDS[0])] == [[]]
    # It is the plan that one run makes.
    plan = lab.targets()[0].plan()
    other = Lab(lab.results.parent / "other", lab.data)
    other.results.parent.mkdir()
    other.ask()
    assert other.targets()[0].plan().tasks == plan.tasks


def test_the_choices_of_a_question_are_in_one_shard(questions):
    lab, table = questions
    for shard in THIRDS:
        lab.ask(table, shard=shard)
        asked = set(lab.asked())
        for documents in lab.expected(table).values():
            shares = [len(asked.intersection(ids)) / len(ids) for ids in documents]
            assert set(shares) <= {0, 1}
            assert 0 < sum(shares) < len(documents)
    assert lab.unfinished(table) == []


def test_another_number_of_shards_asks_only_the_rest(lab):
    lab.ask(shard=THIRDS[0])
    first = lab.asked()
    for index in (1, 2, 3, 4):
        lab.ask(shard=Shard(index, 4))
    assert Counter(first + lab.asked()) == Counter(flat(lab.expected()))
    assert lab.unfinished() == []


def test_a_shard_that_finishes_late_does_not_take_back_what_the_last_one_has_finished(
    lab, monkeypatch
):
    """Between its last answer and its plan the other one answers the rest and finishes."""
    one, other = (lab.works(shard=Shard(index, 2)) for index in (1, 2))
    engine, real = backends.load(lab.model().spec), store.locked
    requests.answer(one, engine, Shard(1, 2), str)

    def late(folder, *, wait):
        monkeypatch.setattr(store, "locked", real)
        requests.answer(other, engine, Shard(2, 2), str)
        assert other[0].finish() == []
        return real(folder, wait=wait)

    monkeypatch.setattr(store, "locked", late)
    assert one[0].finish() == []
    assert lab.unfinished() == []


# Running again


def test_everything_is_asked_once_and_planned_with_what_came_back(lab):
    lab.ask()
    assert Counter(lab.asked()) == Counter(flat(lab.expected()))
    log, plan = lab.log(), lab.targets()[0].plan()
    assert list(plan.tasks) == sorted(TASKS)
    for name, documents in lab.expected().items():
        entry, ids = plan.tasks[name], flat({name: documents})
        assert (entry.n, entry.n_requests) == (SEGMENTS, len(ids))
        assert entry.answers_digest == digest_lines(log.answers[one].answer for one in ids)
        assert (entry.n_too_long, entry.n_spanning) == (0, 0)


def test_what_is_done_is_known_without_rendering(lab):
    lab.ask()
    (work,) = lab.works()
    assert (work.todo, work.kept, work.answered) == ([], ALL, 0)


@pytest.mark.parametrize("after", [0, 1, SEGMENTS, ALL - 1])
def test_what_was_answered_before_a_fault_is_not_asked_again(lab, after):
    with pytest.raises(RuntimeFault, match="out of memory"):
        lab.ask(engine=Stops(lab, after))
    before = lab.asked()
    log = lab.log()
    assert set(log.answers) == set(before[:after])
    assert lab.unfinished() == TASKS
    (work,) = lab.ask()
    assert Counter(lab.asked()) == Counter(flat(lab.expected())) - Counter(before[:after])
    assert (work.kept, work.answered) == (after, ALL - after)
    assert lab.unfinished() == []


def test_an_interrupt_keeps_what_was_answered(lab):
    with pytest.raises(KeyboardInterrupt):
        lab.ask(engine=Stops(lab, 7, KeyboardInterrupt()))
    assert len(lab.log().answers) == 7
    assert lab.log().bad == ()


def test_what_another_run_finished_meanwhile_is_not_even_rendered(lab):
    works = lab.works()
    assert works[0].todo
    lab.ask()
    plan = lab.targets()[0].plan()
    lab.asked()
    lab.answer(works)
    assert (lab.asked(), lab.rendered, works[0].todo) == ([], [], [])
    assert lab.targets()[0].plan() == plan


class Shuffles:
    """An engine that answers the longest prompts first, all at once, and may lose some."""

    def __init__(self, lab, lost=0):
        self._engine, self._lost = backends.load(lab.model().spec), lost

    def answer(self, asked):
        found = sorted(asked, key=lambda request: (-len(request.context), request.request_id))
        yield from self._engine.answer(iter(found[self._lost :]))


def test_the_order_of_the_answers_does_not_matter(lab):
    lab.ask(engine=Shuffles(lab))
    plan = lab.targets()[0].plan()
    only_file(lab).unlink()
    lab.ask()
    assert lab.targets()[0].plan() == plan


def test_requests_that_an_engine_lost_are_missing_and_asked_again(lab):
    lab.ask(engine=Shuffles(lab, lost=2))
    asked = lab.asked()
    assert 1 <= len(lab.unfinished()) <= 2
    lab.ask()
    assert Counter(asked + lab.asked()) == Counter(flat(lab.expected()))
    assert lab.unfinished() == []


def test_a_task_of_which_an_engine_did_not_take_all_requests_is_not_finished(lab):
    class Stopping:
        def answer(self, asked):
            found = (next(asked) for _ in range(SEGMENTS + 3))
            yield from backends.load(lab.model().spec).answer(found)

    lab.ask(engine=Stopping())
    assert lab.unfinished() == TASKS[1:]
    lab.ask()
    assert lab.unfinished() == []
    assert Counter(lab.asked()) == Counter(flat(lab.expected()))


def test_nothing_is_changed_where_another_process_writes(lab):
    works = lab.works()
    folder = works[0].target.responses
    with responses.Writer(folder / WHOLE.writer):
        before = sorted(lab.results.rglob("*"))
        with pytest.raises(UserError, match=r"run\.jsonl: another process writes to it"):
            lab.answer(works)
        assert sorted(lab.results.rglob("*")) == before
    assert lab.asked() == []
    assert lab.rendered == []


def test_answers_reach_the_disk_while_the_run_goes_on(lab, monkeypatch):
    flushed = []
    monkeypatch.setattr(requests, "_SYNC_SECONDS", -1.0)
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino))
    lab.ask()
    assert flushed.count(only_file(lab).stat().st_ino) == ALL + 1


# Damage


@pytest.mark.parametrize("line", [1, SEGMENTS, ALL])
def test_only_the_request_of_a_flipped_record_is_asked_again(lab, line):
    lab.ask()
    plan = lab.targets()[0].plan()
    lab.asked()
    lost = flip(only_file(lab), line)
    lab.ask()
    assert lab.asked() == [lost]
    assert only_file(lab).with_suffix(".bad").read_bytes().count(b"\n") == 1
    assert lost.encode() in only_file(lab).with_suffix(".bad").read_bytes()
    assert lab.targets()[0].plan() == plan
    assert [work.todo for work in lab.ask()] == [[]]
    assert lab.asked() == []


@pytest.mark.parametrize("cut", [1, 50])
def test_only_the_request_of_a_torn_record_is_asked_again(lab, cut):
    lab.ask()
    (*_, last) = lab.asked()
    file = only_file(lab)
    torn = file.read_bytes()[:-cut]
    file.write_bytes(torn)
    lab.ask()
    assert lab.asked() == [last]
    assert torn.endswith(file.with_suffix(".bad").read_bytes())
    assert lab.log().bad == ()
    assert [work.todo for work in lab.ask()] == [[]]


def test_a_flipped_record_is_asked_again_where_the_log_holds_more_than_is_planned(lab):
    """Answers of other selections, or of prompts that are no more, do not stand in for it."""
    lab.ask(some())
    lab.ask(some(5))
    lab.asked()
    five = set(flat(lab.expected(some(5))))
    records = only_file(lab).read_bytes().splitlines()
    line = next(n for n, record in enumerate(records) if record.split(b'"')[3].decode() in five)
    lost = flip(only_file(lab), line)
    lab.ask(some(5))
    assert lab.asked() == [lost]
    assert lab.unfinished(some(5)) == []


def test_what_another_selection_lost_is_not_forgotten_when_its_record_was_moved_away(lab):
    lab.ask(some(5))
    lab.ask(some())
    lab.asked()
    five = set(flat(lab.expected(some(5))))
    lines = only_file(lab).read_bytes().splitlines()
    inside = next(n for n, one in enumerate(lines) if n and one.split(b'"')[3].decode() in five)
    lost = flip(only_file(lab), inside)
    lab.ask(some(25, seed=8, pairs=("deu_Latn-tha_Thai",)))
    assert lost not in lab.asked()
    lab.ask(some(5))
    assert lab.asked() == [lost]
    lab.ask(some())
    assert lab.asked() == []
    assert lab.unfinished(some(), some(5)) == []


def test_a_shard_leaves_the_files_of_the_others_for_them_to_mend(lab):
    """One that starts while another mends its file would find it locked, and end."""
    for shard in THIRDS:
        lab.ask(shard=shard)
    files = [lab.targets()[0].responses / shard.writer for shard in THIRDS]
    lost = [flip(file, 1) for file in files]
    lab.asked()
    lab.works(shard=THIRDS[0])
    assert [file.with_suffix(".bad").exists() for file in files] == [True, False, False]
    lab.works(shard=Shard(1, 2))
    assert [file.with_suffix(".bad").exists() for file in files] == [True, True, True]
    lab.ask()
    assert sorted(lab.asked()) == sorted(lost)
    assert lab.unfinished() == []


def test_without_the_log_everything_is_asked_again(lab):
    lab.ask()
    plan, first = lab.targets()[0].plan(), lab.asked()
    only_file(lab).unlink()
    lab.ask()
    assert Counter(lab.asked()) == Counter(first)
    assert lab.targets()[0].plan() == plan


def test_a_lost_file_is_noticed_though_the_log_holds_more_than_is_planned(lab):
    first = some(pairs=PAIRS[:1])
    for shard in THIRDS:
        lab.ask(first, shard=shard)
    lab.asked()
    # Answers of another task, in the same folder, that make up the number.
    lab.ask(some(pairs=PAIRS[1:2]))
    lab.asked()
    file = lab.targets(first)[0].responses / THIRDS[1].writer
    lost = [line.split(b'"')[3].decode() for line in file.read_bytes().splitlines()[1:]]
    file.unlink()
    lab.ask(first)
    assert Counter(lab.asked()) == Counter(lost)


def test_without_the_file_of_a_shard_its_requests_are_asked_again(lab):
    for shard in THIRDS:
        lab.ask(shard=shard)
    asked = lab.asked()
    file = lab.targets()[0].responses / THIRDS[1].writer
    lost = [line.split(b'"')[3].decode() for line in file.read_bytes().splitlines()[1:]]
    file.unlink()
    lab.ask()
    assert Counter(lab.asked()) == Counter(lost)
    assert 0 < len(lost) < len(asked)
    assert lab.unfinished() == []


def test_without_the_plan_nothing_is_asked_again(lab):
    lab.ask()
    lab.asked()
    plan = lab.targets()[0].plan()
    (lab.targets()[0].folder / "plan.json").unlink()
    (work,) = lab.ask()
    assert (lab.asked(), work.kept) == ([], ALL)
    assert lab.targets()[0].plan() == plan


# Selections and shots


@pytest.mark.parametrize("order", [(10, None), (None, 10)])
@pytest.mark.parametrize("at_once", [True, False])
def test_selections_that_overlap_share_their_answers(lab, order, at_once):
    tables = [some(n) for n in order]
    for chosen in [tables] if at_once else [[table] for table in tables]:
        lab.ask(*chosen)
    assert Counter(lab.asked()) == Counter(flat(lab.expected(some())))
    assert lab.unfinished(*tables) == []
    counts = {t.subset.name: {p.n for p in t.plan().tasks.values()} for t in lab.targets(*tables)}
    assert counts == {"all": {SEGMENTS}, "n10-seed1": {10}}


def test_a_part_with_shots_is_a_part_of_all_with_shots(lab):
    part, whole = some(10, num_fewshot=2), some(num_fewshot=2)
    lab.ask(part)
    first = lab.asked()
    assert Counter(first) == Counter(flat(lab.expected(part)))
    assert len(first) == 30
    lab.ask(whole)
    assert Counter(first + lab.asked()) == Counter(flat(lab.expected(whole)))
    lab.ask(some())
    assert len(lab.asked()) == ALL
    shots = {t.settings.settings.num_fewshot: t.settings_folder for t in lab.targets(whole, some())}
    assert len(set(shots.values())) == 2
