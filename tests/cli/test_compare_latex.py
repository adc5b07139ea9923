"""LaTeX of ``compare``: it compiles, each number is in its place, and nothing says too much."""

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from compared import TONGUES, pair, row
from conftest import SEGMENTS, WORDS, sentences, spoil, write_lines

from bayling_eval import store
from bayling_eval.cli import compare_grids, latex
from bayling_eval.cli.compare_options import Asked
from bayling_eval.cli.main import main
from bayling_eval.compare import averaged
from bayling_eval.macro import Grouping, Weights
from bayling_eval.method import Method

PAIRS = ("eng_Latn-deu_Latn", "eng_Latn-zho_Hans", "eng_Latn-tha_Thai", "deu_Latn-eng_Latn",
         "zho_Hans-eng_Latn", "deu_Latn-tha_Thai")  # fmt: skip
SYSTEMS = {"good": 7, "bad": 2, "meta--middle_v1": 4}
LAYOUTS = ("task", "system", "system --cols lang", "lang")
HOSTILE = r"50% & $x_1^2$ {#} ~ \end{tabular} \\ [2] *| <a> -- ``q'' ▲…"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Three systems scored; one has no Thai, and one is better than another."""
    folder = tmp_path_factory.mktemp("systems")
    base = folder / "data" / "flores200" / "flores200_dataset"
    for lang in WORDS:
        write_lines(base / "devtest" / f"{lang}.devtest", sentences(lang))
    urls = [f"https://example.org/{index // 3}\tnews" for index in range(SEGMENTS)]
    write_lines(base / "metadata_devtest.tsv", ["URL\tdomain", *urls])
    where = ("--data", str(folder / "data"), "--results", str(folder / "results"), "-q")
    for (name, every), one in itertools.product(SYSTEMS.items(), PAIRS):
        tgt = one.partition("-")[2]
        if not (name.startswith("meta") and one == "eng_Latn-tha_Thai"):
            lines = spoil(sentences(tgt), every, sentences(tgt, 5)[0])
            write_lines(folder / name / f"{one}.txt", lines)
    for name in SYSTEMS:
        words = ("import", name, "--suite", "flores200", "--hypotheses", str(folder / name))
        assert main([*words, *where]) == 0
    assert main(["score", "--metric", "chrf++", "--metric", "bleu", "--jobs", "1", *where]) == 0
    return folder / "results"


@pytest.fixture
def tex(results, capsys):
    """Return the LaTeX of a layout, bad decides over good and the middle one."""

    def printed(layout: str, *words: str, metric: str = "chrf++") -> str:
        capsys.readouterr()
        asked = ("--metric", metric, "--trials", "1000", "--format", "latex", "-q")
        systems = ("good", "bad", "meta--middle_v1")
        where = ("--results", str(results))
        code = main(["compare", *systems, *asked, "--rows", *layout.split(), *where, *words])
        assert code == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return printed


def tables(text: str) -> list[list[list[str]]]:
    """Return the cells of each tabular, head first; notes across columns left out."""
    found = []
    for body in re.findall(r"\\begin\{tabular\}\{\w+\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        lines = [line for line in body.split("\n") if line.endswith(r" \\")]
        cells = [line.removesuffix(r" \\").split(" & ") for line in lines]
        found.append([one for one in cells if not one[0].startswith(r"\multicolumn")])
    return found


def number(cell: str) -> float:
    return float(re.search(r"[\d.]+", cell).group())


def well_formed(text: str) -> None:
    """Environments and braces are closed, tabulars rectangular, and characters ASCII."""
    assert text.isascii()
    open_ones = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
        open_ones.append(name) if kind == "begin" else None
        assert kind == "begin" or open_ones.pop() == name
    assert not open_ones
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    for spec in re.findall(r"\\begin\{tabular\}\{(\w+)\}", text):
        assert set(spec) <= {"l", "r"}
    specs = [len(spec) for spec in re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)]
    for width, rows in zip(specs, tables(text), strict=True):
        assert {len(cells) for cells in rows} == {width}
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(set(labels)) == len(labels)
    assert text.count(r"\caption{") == len(labels)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("metric", ["chrf++", "bleu"])
def test_every_layout_is_well_formed_and_says_how_it_was_tested(tex, layout, metric):
    text = tex(layout, "--weights", "speakers", metric=metric)
    well_formed(text)
    first = re.search(r"\\caption\{(.*)\}", text).group(1)
    tested = (
        "aired approximate randomisation",
        r"Holm 5 \%",
        "1,000 trials",
        "one family of tests",
    )
    for said in (*tested, "clustered by document", "Signature nrefs", "settings of the baseline"):
        assert said in first, said


def test_languages_have_the_scores_the_best_in_bold_and_marks_against_the_first(tex, results):
    out, other, back = tables(tex("lang"))
    head, *rows = out
    assert head == ["language", "good", "bad", r"meta-{}-middle\_v1"]
    assert [cells[0] for cells in rows] == [
        r"deu\_Latn", r"tha\_Thai", r"zho\_Hans", "n/N", r"$\uparrow$/$\downarrow$",
    ]  # fmt: skip
    for column, name in enumerate(SYSTEMS, 1):
        (cell,) = store.find(results, name).cells()
        scored = {r.tgt_lang: r.value for r in cell.scores()
                  if r.metric == "chrf++" and r.src_lang == "eng_Latn"}  # fmt: skip
        shown = {cells[0].replace("\\_", "_"): cells[column] for cells in rows[:3]}
        for language, value in scored.items():
            assert number(shown[language]) == round(value, 2)
    for cells in rows[:3]:
        assert cells[1].startswith(r"\textbf{")
        assert cells[1].endswith(r"$^{\uparrow}$")
        # Nothing is held against the first baseline itself.
        assert cells[2].endswith(r"$^{\phantom{\uparrow}}$")
    assert rows[1][3].startswith(r"\textendash{}")
    assert rows[3][1:] == ["3/3", "3/3", "2/3"]
    assert rows[4][1:] == ["3/0", r"\textendash{}", "0/0"]
    assert (other[0][0], other[1][0]) == ("direction", r"deu\_Latn-tha\_Thai")
    assert [cells[0] for cells in back[1:3]] == [r"deu\_Latn", r"zho\_Hans"]


def test_across_is_the_same_table_turned(tex):
    for down, across in zip(tables(tex("lang")), tables(tex("system --cols lang")), strict=True):
        turned = [list(cells) for cells in zip(*across, strict=True)]
        assert turned[1:] == down[1:]
        assert turned[0][1:] == down[0][1:]


def test_groups_have_mean_differences_and_never_mean_scores(tex):
    text = tex("system")
    (rows,) = tables(text)
    assert rows[0] == ["system", "all", r"eng\_Latn-x", "other", r"x-eng\_Latn"]
    names = [cells[0] for cells in rows[1:]]
    good, bad, middle, common = 1, 4, 5, 8
    assert [names[n - 1] for n in (good, bad, middle)] == ["good", "bad", r"meta-{}-middle\_v1"]
    # Not in bold: the other one has no Thai.
    assert re.fullmatch(r"\+\d+\.\d\d", rows[good][1])
    assert re.fullmatch(r"\{\\scriptsize \{\[\}\+.*, \+.*\]\}", rows[good + 1][1])
    assert rows[good + 2][1:3] == [
        r"{\scriptsize 6/6 6$\uparrow$ 0$\downarrow$}",
        r"{\scriptsize 3/3 3$\uparrow$ 0$\downarrow$}",
    ]
    assert rows[bad] == ["bad", "0.00", *[r"\textendash{}"] * 3]
    assert r"\scriptsize 5/6" in rows[middle + 2][1]
    # Fewer than five directions have no mean.
    assert rows[good][2:] == rows[middle][2:] == [r"\textendash{}"] * 3
    assert r"\emph{over the tasks that all systems have}" in text
    assert rows[common][1].startswith(r"\textbf{+")
    assert r"\scriptsize 5/5" in rows[common + 2][1]


def test_a_metric_that_is_not_averaged_is_counted(tex):
    (rows,) = tables(tex("system", metric="bleu"))
    assert {cells[1] for cells in rows[1:] if cells[0]} == {r"\textendash{}"}
    assert any(r"6/6" in cells[1] for cells in rows)


def test_comparisons_one_by_one_are_all_there(tex):
    text = tex("task")
    groups, rows, *_ = tables(text)
    assert groups[0][0] == "group"
    assert rows[0][:4] == ["", "direction", "baseline", "candidate"]
    assert len(rows) == 1 + len(PAIRS)
    assert "missing: meta-{}-middle\\_v1 has no outputs for it: eng$\\rightarrow$tha" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--rows lang", "add --format latex"),
        ("--cols lang", "add --format latex"),
        ("--rows lang --cols group --format latex", "does not go with --rows lang: write --cols"),
        ("--cols lang --format latex", "write no --cols"),
        ("--rows column --format latex", "'column' is not one of"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(results, capsys, words, message):
    code = main(["compare", "good", "bad", "--results", str(results), *words.split()])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert message in err


# Systems made by hand


def held(*found, metric="chrf++", weights=None) -> compare_grids.Held:
    pairs = averaged(list(found), Grouping(weights=weights))
    name = weights.name if weights else None
    return compare_grids.Held(pairs, metric, Asked((), (), Method(), (), name))


def test_the_best_of_a_metric_where_less_is_better_is_the_least():
    assert compare_grids._bold(["1.00", "2.00", "–"], [True, True, False], True)[1] == (
        r"\textbf{2.00}"
    )
    assert compare_grids._bold(["1.00", "2.00", "–"], [True, True, False], False)[0] == (
        r"\textbf{1.00}"
    )
    # What reads alike is equally good; one score alone is best of nothing.
    assert compare_grids._bold(["1.00", "1.00"], [True, True], True) == [r"\textbf{1.00}"] * 2
    assert compare_grids._bold(["1.00", "–"], [True, False], True)[0] == "1.00"


def test_weighted_means_are_a_part_of_their_own():
    rows = [row(t, d) for t, d in zip(TONGUES, (1, 1, 1, 1, 5), strict=False)]
    table = compare_grids.groups(held(pair(rows), weights=Weights("w", {TONGUES[4]: 2.0})))
    assert table.notes == {4: r"\emph{weighted by w}"}
    means = [cells[1] for cells in table.rows if cells[0]]
    assert means == [r"\textbf{+1.80}", "0.00", r"\textbf{+5.00}", "0.00"]
    assert table.rows[6][1] == r"{\scriptsize 1.0 of 1}"


# The page


def wide(columns: int, rows: int, cell: str = "12.34") -> latex.Table:
    head = ("system", *(f"c{number}" for number in range(columns)))
    body = tuple((f"row {n}", *[cell] * columns) for n in range(rows))
    return latex.Table(head, body, "Title", "Said.", f"wide {columns} {rows}")


def test_a_wide_table_is_cut_and_each_column_is_there_once():
    text = latex.render(wide(30, 4))
    well_formed(text)
    heads = [rows[0] for rows in tables(text)]
    assert {head[0] for head in heads} == {"system"}
    assert [name for head in heads for name in head[1:]] == [f"c{n}" for n in range(30)]
    assert max(map(len, heads)) <= 13
    assert text.count(r"\begin{table*}") == 1


def test_a_wide_and_tall_table_is_several():
    text = latex.render(wide(30, 40))
    well_formed(text)
    assert text.count(r"\begin{table*}") == 3
    assert "Title (part 1 of 3). Said." in text
    assert "Title (part 3 of 3)." in text


def test_a_long_table_goes_over_pages():
    text = latex.render(wide(3, 120))
    assert text.count(r"\begin{longtable}") == 1
    assert text.count(r"\endhead") == 1
    assert len(re.findall(r"^row \d+ &", text, re.MULTILINE)) == 120


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b & 5 %", r"a\_b \& 5 \%"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("[-1.5, +2]", "{[}$-$1.5, +2]"),
        ("eng_Latn-x 3-4 -5", r"eng\_Latn-x 3-4 $-$5"),
        ("a--b---c –", r"a-{}-b-{}-{}-c \textendash{}"),
        ("* ▼≤", r"{*} $\downarrow$$\leq$"),
    ],
)
def test_texts_are_printed_as_they_are(text, escaped):
    assert latex.escape(text) == escaped


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_pdflatex_compiles_it(tex, tmp_path):
    made = [tex(layout, "--weights", "speakers") for layout in LAYOUTS]
    hostile = latex.escape(HOSTILE)
    made += [latex.render(wide(n, m, cell)) for n, m, cell in (
        (30, 4, "12.34"), (30, 40, "12.34"), (3, 120, "12.34"), (2, 3, hostile))]  # fmt: skip
    body = "\n\n".join(dict.fromkeys(made))
    (tmp_path / "page.tex").write_text(
        "\\documentclass{article}\\usepackage[a4paper,margin=2.5cm]{geometry}"
        "\\usepackage{booktabs,longtable}\\begin{document}\n"
        f"{body}\n\\end{{document}}\n",
        encoding="ascii",
    )
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "page"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said[-2000:]
    for fault in ("Overfull", "Float too large", "multiply defined"):
        assert fault not in said, fault
