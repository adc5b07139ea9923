"""Published scores: the files as bundled, their arithmetic, and what a bad file says."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from bayling_eval import languages, published
from bayling_eval.errors import UserError

CHECKOUT = Path(__file__).parent.parent
HEADER = ",".join(published.COLUMNS)
TASK = "flores101_eng_Latn-deu_Latn,flores101,eng_Latn,deu_Latn"
GOOD = f"mine,Me 2020,en-x,CC0,A,{TASK},bleu-published,1.5,"
SOURCES = """
[mine]
file = "mine.csv"
citation = "Me 2020"
reference = "Me. A paper. 2020"
url = "https://example.org"
licence = "CC0"
notice = "for all"
"""

# Column `all` of experiment_results/<system>/{spBLEU_score/summary_101,comet_score/summary_85}.csv,
# CONE-MT/LLaMAX at 0eeec0b: system, pivot, then spBLEU from it and into it, COMET x 100 likewise.
SUMMARIES = """
Aya-101                  en 24.30 31.92 80.66 82.85
Aya-101                  zh 15.50 15.43 78.34 79.14
Aya-23                   en 11.18 20.57 60.68 69.99
Aya-23                   zh  7.20 11.20 59.18 68.38
ChineseLLaMA2-Alpaca     zh  2.31  6.15 51.60 57.58
LLaMA2-13B-Alpaca        en 11.85 19.69 59.99 71.26
LLaMA2-13B-Alpaca        zh  6.25  8.80 56.51 66.59
LLaMA2-13B               en  0.24  0.75 31.91 38.79
LLaMA2-13B               zh  0.25  0.22 35.28 37.66
LLaMA2-7B-Alpaca         en  9.44 16.44 55.45 68.33
LLaMA2-7B-Alpaca         zh  3.80  4.46 53.49 58.50
LLaMA2-7B-Alpaca         ja  3.81  3.05 53.85 53.92
LLaMA2-7B                en  4.21 11.80 46.21 58.38
LLaMA2-7B                zh  0.91  0.55 46.07 45.38
LLaMA3-8B-Alpaca         en 17.23 26.55 71.24 79.89
LLaMA3-8B-Alpaca         zh 10.14 13.17 67.50 75.72
LLaMA3-8B                en  3.84 19.81 47.42 70.24
LLaMA3-8B                zh  3.50  1.37 46.40 43.62
LLaMAX2-7B-Alpaca        en 23.17 30.63 79.41 82.64
LLaMAX2-7B-Alpaca        zh 14.17 13.53 76.07 77.27
LLaMAX2-7B-Alpaca        ja 13.06 15.37 75.52 78.88
LLaMAX3-8B-Alpaca        en 22.77 31.85 78.32 83.33
LLaMAX3-8B-Alpaca        zh 14.43 16.46 75.81 80.16
MADLAD-400-7B-MT         en 29.19 38.14 80.62 84.97
MADLAD-400-7B-MT         zh 18.23 20.48 76.73 80.35
NLLB-200                 en 31.77 38.60 83.58 85.50
NLLB-200                 zh 19.61 15.27 79.63 77.56
PolyLM                   en  5.72  7.75 47.13 53.15
PolyLM                   zh  1.42  1.20 54.74 44.11
Qwen2-7B-Instruct        en  9.61 19.04 61.25 75.88
Qwen2-7B-Instruct        zh  6.84 13.52 61.10 74.89
Swallow-7B-Instruct-v0.1 ja  0.68  2.19 46.12 44.62
TowerInstruct-7B-v0.2    en  9.41 18.87 61.31 68.48
TowerInstruct-7B-v0.2    zh  4.15 10.37 60.77 66.19
Yayi2-30B                en  7.80 19.37 57.20 70.70
Yayi2-30B                zh  4.38  6.07 57.92 60.66
"""
# summary_85 averages what M2M-100 knows (its README, "those 85 languages"). These 15 of Flores-101
# are not in FAIRSEQ_LANGUAGE_CODES["m2m100"] (transformers, tokenization_m2m_100.py), which leaves
# a pivot and 86.
NOT_IN_M2M100 = "as kam kea ku ky luo mi mt ny om sn te tg umb zhtrad".split()


@pytest.fixture(scope="module")
def scores():
    return published.load()


@pytest.fixture(scope="module")
def by_system(scores):
    found = {}
    for s in scores:
        found.setdefault(s.system, []).append(s)
    return found


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sources.toml").write_text(SOURCES, encoding="utf-8")
    return tmp_path


def fault(folder, *lines, header=HEADER):
    (folder / "mine.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        published.load(folder)
    return str(caught.value)


@pytest.mark.parametrize("line", SUMMARIES.strip().split("\n"), ids=lambda line: line[:27])
def test_means_are_those_that_the_source_prints(by_system, line):
    system, code, *printed = line.split()
    pivot = languages.resolve(code, "m2m100")
    left_out = {languages.resolve(code, "m2m100") for code in NOT_IN_M2M100}
    found = []
    for metric, skipped, n in (("spbleu", set(), 101), ("comet", left_out, 86)):
        rows = [s for s in by_system[system] if s.metric == f"{metric}-published"]
        out = {s.task: "out" for s in rows if s.src_lang == pivot and s.tgt_lang not in skipped}
        into = {s.task: "into" for s in rows if s.tgt_lang == pivot and s.src_lang not in skipped}
        for side in (out, into):
            families = dict.fromkeys(side, "flores101")
            (mean,) = published.Context.of(rows, families, side).means()
            assert (mean.n, mean.n_expected) == (n, n)
            found.append(mean.value)
    # Half a unit of the printed digits, and what is left of rounding each number of the mean.
    assert found == pytest.approx([float(number) for number in printed], abs=0.0055)


def test_all_18_systems_are_held_to_their_summaries(scores):
    ours = {s.system for s in scores if s.source == "llamax"}
    assert ours == {line.split()[0] for line in SUMMARIES.strip().split("\n")}
    assert len(ours) == 18


def test_spot_values(scores):
    by_key = {(s.system, s.task, s.metric): s.value for s in scores}
    # experiment_results/Aya-101/spBLEU_score/spBLEU_score.csv, row en-x, columns af and cs.
    assert by_key["Aya-101", "flores101_eng_Latn-afr_Latn", "spbleu-published"] == 37.24
    assert by_key["Aya-101", "flores101_eng_Latn-ces_Latn", "spbleu-published"] == 32.43
    # The same, comet_score: printed as 84.00, that is COMET x 100.
    assert by_key["Aya-101", "flores101_eng_Latn-afr_Latn", "comet-published"] == 84.0
    # MaLA-LM/emma-500, evaluation_results/xnli.csv: Avg of Llama 2 7B is 40.18741633199464.
    emma = {(s.system, s.family): s.value for s in scores if s.task is None}
    assert emma["Llama 2 7B", "xnli"] == 40.19


def test_every_row_is_cited_and_no_language_meets_itself(scores):
    listed = published.sources()
    assert {s.source for s in scores} == set(listed)
    assert all(s.citation == listed[s.source]["citation"] for s in scores)
    assert {(s.source, s.licence) for s in scores} == {
        ("llamax", "MIT"),
        ("emma500", "none stated"),
    }
    assert all(s.table for s in scores)
    assert all(s.src_lang != s.tgt_lang for s in scores if s.task)


def test_summary_counts_each_number_once(scores):
    rows = published.summary()
    assert sum(int(str(row["n"])) for row in rows) == len(scores)
    nllb = next(r for r in rows if (r["system"], r["metric"]) == ("NLLB-200", "comet-published"))
    # Seven pivots: 7 x 101 directions out and as many in, less the 42 between pivots, seen twice.
    assert nllb["n"] == 2 * 7 * 101 - 7 * 6
    assert "Findings of EMNLP 2024" in str(nllb["citation"])


def make(source, out):
    script = CHECKOUT / "scripts" / "make_published.py"
    command = [sys.executable, script, "--llamax", source, "--out", out]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.data
def test_file_equals_a_rerun(data_dir, tmp_path):
    done = make(data_dir / "published_scores" / "llamax", tmp_path / "again.csv")
    assert (done.returncode, done.stderr) == (0, "")
    bundled = CHECKOUT / "results" / "published" / "llamax-flores101.csv"
    assert (tmp_path / "again.csv").read_bytes() == bundled.read_bytes()


@pytest.mark.data
def test_no_value_where_the_source_has_none(data_dir, scores):
    numbers, empty = set(), set()
    for path in (data_dir / "published_scores" / "llamax").glob("*/*/*.csv"):
        metric = path.stem.removesuffix("_score").lower() + "-published"
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                sides = row.pop("direct").split("-")
                for code, cell in row.items():
                    pair = tuple(
                        languages.resolve(code if side == "x" else side, "m2m100") for side in sides
                    )
                    kept = empty if cell == "/" else numbers
                    kept.add((path.parent.parent.name, metric, *pair))
    ours = {(s.system, s.metric, s.src_lang, s.tgt_lang) for s in scores if s.source == "llamax"}
    assert ours == numbers
    # Two cells a pivot: de is "/" in the rows de-x and x-de of each file.
    assert empty
    assert not ours & empty


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("en-x,/,,2.00", ""),
        ("en-x,/,1,2\nx-zh,3,4,/", "en-x and x-zh disagree"),
        ("en-x,/,1,2\nqq-x,3,4,5", "spBLEU_score.csv:3: unknown language 'qq'"),
        ("en-x,/,one,2", "spBLEU_score.csv:2: could not convert string to float: 'one'"),
    ],
)
def test_script_leaves_out_empty_cells_and_names_faults(tmp_path, rows, says):
    path = tmp_path / "S" / "spBLEU_score" / "spBLEU_score.csv"
    path.parent.mkdir(parents=True)
    path.write_text(f"direct,en,de,zh\n{rows}\n", encoding="utf-8")
    out = tmp_path / "out.csv"
    done = make(tmp_path, out)
    assert says in done.stderr
    assert done.returncode == (2 if says else 0), done.stderr
    if not says:
        row = "flores101_eng_Latn-zho_Hans,flores101,eng_Latn,zho_Hans,spbleu-published,2.0,"
        assert out.read_text("utf-8") == f"{HEADER}\nllamax,Lu et al. 2024,en-x,MIT,S,{row}\n"


def test_script_wants_score_files(tmp_path):
    done = make(tmp_path, tmp_path / "out.csv")
    assert done.returncode == 2
    assert "give experiment_results/" in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_good_file_is_read(folder):
    (folder / "mine.csv").write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8")
    (score,) = published.load(folder)
    assert (score.src_lang, score.tgt_lang, score.value) == ("eng_Latn", "deu_Latn", 1.5)
    assert published.summary(folder)[0]["citation"] == "Me. A paper. 2020"
    (source,) = published.citations([score], folder)
    assert (source["licence"], source["notice"], source["systems"]) == ("CC0", "for all", ["A"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (",1.5,", ",/,", "bad value '/'"),
        (",1.5,", ",nan,", "bad value 'nan'"),
        (",1.5,", ",-1,", "bad value '-1'"),
        (",1.5,", ",101,", "bad value '101'"),
        (",1.5,", ",,", "bad value ''"),
        (",1.5,", ",1.5", "11 cells where 12 are due"),
        (",A,", ",A ,", "bad system 'A '"),
        ("deu_Latn", "deu_Latin", "unknown language 'deu_Latin'. Did you mean 'deu_Latn'"),
        ("101_eng_Latn", "101_fra_Latn", "does not fit the languages"),
        ("bleu-published", "bleu", "does not end in '-published'"),
        ("mine,", "mind,", "unknown source 'mind'. Did you mean 'mine'?"),
        ("Me 2020", "Me 2021", "sources.toml has 'Me 2020'"),
        ("CC0", "CC1", "licence 'CC1': "),
        (",A,", ",A\x1b[2J,", r"bad system 'A\x1b[2J'"),
    ],
)
def test_bad_line_is_named(folder, old, new, says):
    message = fault(folder, GOOD.replace("deu", "fra"), GOOD.replace(old, new))
    assert says in message
    assert f"{folder / 'mine.csv'}:3" in message


def test_same_number_twice_names_both_lines(folder):
    message = fault(folder, GOOD, GOOD.replace("1.5", "2.5"))
    assert "mine.csv:3" in message
    assert "mine.csv:2" in message


def test_bad_header_and_unlisted_file(folder):
    assert "mine.csv:1: unknown column 'sistem'. Did you mean 'system'?" in fault(
        folder, GOOD, header=HEADER.replace("system", "sistem")
    )
    assert "mine.csv:1; it must be source," in fault(folder, header=HEADER.removesuffix(",note"))
    (folder / "mine.csv").rename(folder / "other.csv")
    (folder / "other.csv").write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"file 'other.csv': .*other.csv:2; sources.toml has 'mine.csv'"
    ):
        published.load(folder)


def test_bad_sources(folder):
    (folder / "sources.toml").write_text("[mine]\nfile = 'mine.csv'\n", encoding="utf-8")
    assert "no 'citation'" in fault(folder, GOOD)
    (folder / "sources.toml").write_text("[mine\n", encoding="utf-8")
    assert "line 1" in fault(folder, GOOD)
    (folder / "sources.toml").unlink()
    assert "no list of sources" in fault(folder, GOOD)


# Beside ours

GERMAN = "flores101_eng_Latn-deu_Latn"


@pytest.fixture
def beside(by_system):
    """Return a function that makes the context of tasks, all in one group."""

    def make(names, tasks, metric=None):
        chosen = [s for name in names for s in by_system[name]]
        families = {task: task.partition("_")[0] for task in tasks}
        return published.Context.of(chosen, families, dict.fromkeys(tasks, "group"), metric)

    return make


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        ("spbleu-flores101", ["spbleu"]),
        ("spbleu-flores200", ["spbleu"]),
        ("comet22", ["comet"]),
        ("cometkiwi22", ["comet", "spbleu"]),
        ("chrf++", ["comet", "spbleu"]),
        ("bleu", ["comet", "spbleu"]),
        (None, ["comet", "spbleu"]),
    ],
)
def test_a_metric_is_shown_beside_its_like_else_all_are(beside, metric, shown):
    (row,) = beside(["NLLB-200"], [GERMAN], metric).cells([GERMAN])
    assert list(row) == [f"NLLB-200 {name}-published" for name in shown]


def test_a_number_belongs_to_its_task_by_name_alone(beside):
    # en-x, column de, and de-x, column fr, of NLLB-200's spBLEU_score.csv.
    printed = {
        GERMAN: 42.58,
        "flores200_eng_Latn-deu_Latn": None,
        "flores101_deu_Latn-fra_Latn": 42.91,
    }
    found = beside(["NLLB-200"], printed, "spbleu-flores101")
    assert [row["NLLB-200 spbleu-published"] for row in found.cells([*printed])] == [
        *printed.values()
    ]
    (mean,) = found.means()
    assert (mean.n, mean.n_expected, mean.table) == (2, 3, "de-x, en-x")
    assert mean.value == pytest.approx((42.58 + 42.91) / 2)


def test_a_system_without_a_number_here_is_named(beside):
    found = beside(["NLLB-200", "Llama 2 7B"], ["flores200_eng_Latn-deu_Latn"])
    assert found.absent == {"NLLB-200": ["flores101"], "Llama 2 7B": ["belebele", "m_arc", "xnli"]}
    assert (found.cells(["flores200_eng_Latn-deu_Latn"]), found.means()) == ([{}], [])


def test_what_a_source_averages_stays_as_printed(beside):
    found = beside(["EMMA-500 Llama 2 7B"], ["belebele_deu_Latn"], "acc")
    (mean,) = found.means()
    # MaLA-LM/emma-500, evaluation_results/belebele.csv, column Avg, in per cent.
    assert (mean.group, mean.value, mean.n) == ("belebele (mean of 122 languages)", 26.75, None)
    assert found.cells(["belebele_deu_Latn"]) == [{}]


def test_bleu_is_never_averaged(folder):
    (folder / "mine.csv").write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8")
    chosen = published.choose(["A"], folder)
    found = published.Context.of(chosen, {GERMAN: "flores101"}, {GERMAN: "group"})
    assert found.cells([GERMAN]) == [{"A bleu-published": 1.5}]
    assert found.means() == []


def test_systems_are_chosen_by_name_in_order(scores, monkeypatch):
    monkeypatch.setattr(published, "load", lambda folder: scores)
    chosen = published.choose(["NLLB-200", "Aya-101", "NLLB-200"])
    assert list(dict.fromkeys(s.system for s in chosen)) == ["NLLB-200", "Aya-101"]
    assert len(chosen) == len(set(chosen))
    assert published.choose(["Aya-101", "all"]) == scores
    assert published.choose([]) == ()
    for name in ("NLLB200", "nllb-200"):
        with pytest.raises(UserError, match="Did you mean 'NLLB-200'.*ls published"):
            published.choose([name])
