"""Published scores: the files as bundled, their arithmetic, and what a bad file says."""

import csv
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest

from bayling_eval import languages, published
from bayling_eval.errors import UserError

CHECKOUT = Path(__file__).parent.parent
HEADER = ",".join(published.COLUMNS)
TASK = "flores101_eng_Latn-deu_Latn,flores101,eng_Latn,deu_Latn"
GOOD = f"mine,Me 2020,en-x,A,{TASK},bleu-published,1.5,"
SOURCES = """
[mine]
file = "mine.csv"
citation = "Me 2020"
reference = "Me. A paper. 2020"
url = "https://example.org"
licence = "CC0"
"""

# Column `all` of experiment_results/<system>/spBLEU_score/summary_101.csv, CONE-MT/LLaMAX at
# 0eeec0b: system -> en-x, x-en, zh-x, x-zh.
SUMMARY_101 = {
    "Aya-101": (24.30, 31.92, 15.50, 15.43),
    "LLaMA2-7B-Alpaca": (9.44, 16.44, 3.80, 4.46),
    "LLaMAX2-7B-Alpaca": (23.17, 30.63, 14.17, 13.53),
    "LLaMAX3-8B-Alpaca": (22.77, 31.85, 14.43, 16.46),
    "MADLAD-400-7B-MT": (29.19, 38.14, 18.23, 20.48),
    "NLLB-200": (31.77, 38.60, 19.61, 15.27),
    "Qwen2-7B-Instruct": (9.61, 19.04, 6.84, 13.52),
    "TowerInstruct-7B-v0.2": (9.41, 18.87, 4.15, 10.37),
}


@pytest.fixture(scope="module")
def scores():
    return published.load()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sources.toml").write_text(SOURCES, encoding="utf-8")
    return tmp_path


def fault(folder, *lines, header=HEADER):
    (folder / "mine.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        published.load(folder)
    return str(caught.value)


@pytest.mark.parametrize("system", SUMMARY_101)
def test_means_over_101_languages_are_those_the_source_prints(scores, system):
    rows = [s for s in scores if (s.system, s.metric) == (system, "spbleu-published")]
    sides = [("src_lang", "eng_Latn"), ("tgt_lang", "eng_Latn")]
    sides += [("src_lang", "zho_Hans"), ("tgt_lang", "zho_Hans")]
    for (side, lang), printed in zip(sides, SUMMARY_101[system], strict=True):
        values = [s.value for s in rows if getattr(s, side) == lang]
        assert len(values) == 101
        # Half a unit of the printed digits, and the rounding of each of the 101 numbers.
        assert fmean(values) == pytest.approx(printed, abs=0.0051)


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
        assert out.read_text("utf-8") == f"{HEADER}\nllamax,Lu et al. 2024,en-x,S,{row}\n"


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


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (",1.5,", ",/,", "bad value '/'"),
        (",1.5,", ",nan,", "bad value 'nan'"),
        (",1.5,", ",-1,", "bad value '-1'"),
        (",1.5,", ",101,", "bad value '101'"),
        (",1.5,", ",,", "bad value ''"),
        (",1.5,", ",1.5", "10 cells where 11 are due"),
        (",A,", ",A ,", "bad system 'A '"),
        ("deu_Latn", "deu_Latin", "unknown language 'deu_Latin'. Did you mean 'deu_Latn'"),
        ("101_eng_Latn", "101_fra_Latn", "does not fit the languages"),
        ("bleu-published", "bleu", "does not end in '-published'"),
        ("mine,", "mind,", "unknown source 'mind'. Did you mean 'mine'?"),
        ("Me 2020", "Me 2021", "sources.toml has 'Me 2020'"),
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
