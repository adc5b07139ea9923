"""Samples of the report: which ones, that hostile text stays text; and the page's script."""

import itertools
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from report_page import DIRECTIONS, Page

from bayling_eval.records import Comparison
from bayling_eval.report import samples
from bayling_eval.statistics import SEED

pytest_plugins = ["report_page"]


def test_hostile_outputs_are_shown_and_do_nothing(make, monkeypatch):
    first = dict(zip(samples.KINDS, np.arange(9).reshape(3, 3).tolist(), strict=True))
    monkeypatch.setattr(samples, "choose", lambda delta, ids, sources: first)
    page = make()[1]
    parsed = Page(page)
    assert "<script>alert(1)</script>" in parsed.words
    assert "</script><svg/onload=alert(1)>" in parsed.words
    assert '"><img src=http://example.org onerror=alert(1)>' in parsed.words
    assert "{{7*7}}{% include 'x' %}" in parsed.words
    assert "abcRLOdef" in parsed.words
    assert "ZWSPnulNULendBOM" in parsed.words
    assert not set("\x00\u202e\u200b\ufeff") & set(page)
    assert "(empty)" in parsed.words
    assert "(only white space)" in parsed.words
    assert "98,000 more characters are not shown" in parsed.words
    assert not {"img", "svg"} & {tag for tag, _ in parsed.tags}
    assert max(map(len, re.findall(r"x+", page))) == samples.SHOWN


def test_texts_have_their_language_and_find_their_direction(page):
    texts = [attrs for _, attrs in Page(page).tags if attrs.get("class") == "text"]
    assert {attrs["lang"] for attrs in texts} == {"en", "de", "th", "zh-Hans"}
    assert {attrs["dir"] for attrs in texts} == {"auto"}


def test_the_choice_of_samples_is_stated_and_can_be_repeated():
    delta = np.array([0.0, -5.0, 3.0, -5.0, 9.0, 0.0, 0.0, 1.0, -1.0, 2.0, 0.0, 0.0])
    ids = [f"id{i}" for i in range(len(delta))]
    found = samples.choose(delta, ids, ids, 2)
    assert (found["lowest"], found["highest"]) == ([1, 3], [4, 2])
    ranked = sorted(range(len(delta)), key=lambda i: samples.digest([SEED, ids[i]]))
    assert found["random"] == [i for i in ranked if i not in (1, 3, 4, 2)][:2]
    few = samples.choose(delta[:3], ids[:3], ids[:3], 2)
    assert sorted(itertools.chain(*few.values())) == [0, 1, 2]


def test_a_source_text_is_picked_once_for_a_direction():
    delta = np.array([-9.0, -8.0, -7.0, -6.0, 9.0, 8.0, 7.0, 0.0, 0.0])
    sources = ["same", "same", "low", "lower", "same", "low", "high", "rest", "rest"]
    found = samples.choose(delta, [f"id{i}" for i in range(len(delta))], sources, 2)
    assert (found["lowest"], found["highest"][0]) == ([0, 2], 6)
    picked = [sources[i] for i in itertools.chain(*found.values())]
    assert sorted(picked) == ["high", "low", "lower", "rest", "same"]


def test_a_sample_is_found_by_its_line_in_the_benchmark_file(page, document):
    one = document["samples"][0]
    fold = page.split(f'id="samples-{one["task"]}"')[1]
    assert f"<h4>Line {one['doc_id'] + 1} <" in fold.split("</h4>")[0] + "</h4>"
    assert "Lines are those of the benchmark file, counted from 1." in Page(page).words


def test_samples_are_cut_to_the_budget_and_the_cut_is_counted():
    text = samples.visible("x" * 1_000)
    segment = samples.Segment(0, text, (("ref", text),), (text, text), (1.0, 2.0))
    row = Comparison(
        task="t",
        family="f",
        src_lang=None,
        tgt_lang=None,
        lang=None,
        metric="chrf++",
        signature=None,
        candidate="a",
        baseline="b",
        verdict="no_change",
        settings_diff=[],
    )
    one = samples.Shown(row, 100, {kind: [segment] * 3 for kind in samples.KINDS})
    full, single = one.size, one.size - 6 * segment.size
    assert samples.fit([one] * 4, budget=4 * full).picks == 3
    assert samples.fit([one] * 4, budget=4 * full - 1).picks == 2
    cut = samples.fit([one] * 4, budget=2 * single)
    assert (cut.picks, len(cut.directions), cut.left_out) == (1, 2, 2)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("क्षि नी\u200dम \u200cx", "क्षि नी\u200dम \u200cx"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("a\u2066b\u2069\u200e", "aLRIbPDILRM"),
        ("a\u00adb\u2060c\U000e0041", "aSHYbWJcU+E0041"),
        ("one\ntwo\tx\x1b[0m", "oneLF\ntwoTAB\txESC[0m"),
        ("\x00" * 500 + "z", "NUL ×500z"),
    ],
)
def test_hidden_characters_have_names_and_spelling_is_left_alone(text, shown):
    assert "".join(Page(str(samples.visible(text))).text) == shown


def test_a_text_is_cut_between_clusters_unless_one_never_ends():
    assert str(samples.visible("e\u0301" * 10, limit=5)).startswith("e\u0301" * 2 + "<bdi")
    assert samples.visible("a" + "\u0301" * 5_000).startswith("a\u0301")
    assert len(samples.visible("a" + "\u0301" * 5_000)) < 2_200


def test_a_chip_does_not_decide_the_direction_of_its_text():
    assert samples.visible("\u202e\u05e9\u05dc").startswith('<bdi class="chip"')


@pytest.fixture
def chromium(tmp_path):
    """Return a function that loads a page in Chromium and returns what became of it."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium: install it to test the page's script")

    def dump(url: str) -> str:
        quiet = ["background-networking", "component-update", "sync", "quic", "gpu"]
        command = [program, "--headless", "--no-sandbox", "--no-first-run"]
        command += [f"--disable-{name}" for name in quiet]
        command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout

    return dump


CLICKS = """<script>
const heads = [...document.querySelectorAll('.sortable th[data-t]')];
const order = (name) => {
  const head = heads.find((one) => one.textContent.startsWith(name));
  head.querySelector('button').click();
  const rows = [...document.querySelectorAll('.sortable tbody tr')].map((row) => row.id);
  return [name, head.getAttribute('aria-sort'), ...rows];
};
const found = ['Target', 'Verdict', 'Verdict', 'old', 'old'].map(order);
document.body.innerHTML = '<pre id="found"></pre>';
document.getElementById('found').textContent = JSON.stringify(found);
</script></body>"""


@pytest.mark.slow
def test_the_script_of_the_page_runs_in_a_browser(chromium, page, tmp_path):
    path = tmp_path / "reports" / "r" / "index.html"
    ids = [f"dir-flores200_{p}" for p in DIRECTIONS]
    # Opening the fold of a link shows that the policy lets the page's own script run.
    dom = chromium(f"{path.as_uri()}#samples-flores200_eng_Latn-deu_Latn")
    assert '<details id="samples-flores200_eng_Latn-deu_Latn" open="">' in dom
    clicked = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    copy = tmp_path / "clicked.html"
    copy.write_text(clicked.replace("</body>", CLICKS), encoding="utf-8")
    answer = Page(re.search(r'<pre id="found">.*?</pre>', chromium(copy.as_uri())).group()).words
    by_target, worst, best, low, high = json.loads(answer)
    assert [by_target[1], worst[1], best[1]] == ["ascending", "ascending", "descending"]
    assert sorted(by_target[2:]) == sorted(ids)
    assert by_target[2].endswith("zho_Hans")
    missing = "dir-flores200_tha_Thai-eng_Latn"
    assert worst[-1] == best[-1] == missing
    assert worst[2].endswith(("deu_Latn", "zho_Hans"))
    assert best[2].endswith("tha_Thai")
    # Directions into the same language are tied in `old`, and keep their order both ways.
    rising, falling = (
        [list(tied) for _, tied in itertools.groupby(found[2:], lambda name: name[-8:])]
        for found in (low, high)
    )
    assert rising == falling[::-1]
    assert sorted(map(len, rising)) == [1, 1, 2, 3]
