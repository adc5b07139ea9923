"""Samples in files beside the page, in a real browser: read when asked for, refused if changed."""

import shutil

import numpy as np
import pytest
from report_lab import Invention, Text, invent
from report_page import HOSTILE

from bayling_eval.report import build, samples

pytest_plugins = ["browser_lab"]

TARGETS = ("arb_Arab", "heb_Hebr", "mya_Mymr", "tha_Thai", "deu_Latn", "zho_Hans")
# Of this seed one direction is a confirmed loss.
LOST = 13
SOURCE, REFERENCE = (
    "Source no. {}: rivers and lakes.",
    "العربية رقم {} של עולם ကား 中文 words here.",
)


def texts() -> list[Text]:
    """Return segments of which the first nine are hostile, four of them from end to end."""
    plain = [(SOURCE.format(i), REFERENCE.format(i)) for i in range(12)]
    ours = [reference for _, reference in plain]
    for place, bad in enumerate(HOSTILE):
        ours[place] = bad if place < 4 else f"{ours[place]} {bad}"
    return [
        Text(source, reference, (output, reference.replace("words", "word")))
        for (source, reference), output in zip(plain, ours, strict=True)
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the folder of a report whose samples do not fit on its page."""
    folder = tmp_path_factory.mktemp("chunked")
    pairs = [("eng_Latn", target) for target in TARGETS]
    made = {pair: texts() for pair in pairs}
    what = Invention(pairs=pairs, texts=made, metrics=("chrf++",), seed=LOST)
    first = dict(zip(samples.KINDS, np.arange(9).reshape(3, 3).tolist(), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "choose", lambda delta, ids, sources: first)
        patch.setattr(samples, "BUDGET", 10_000)
        return build.write(invent(folder / "results", what), folder / "reports").parent


@pytest.fixture
def tab(chromium):
    """Return a tab that notes what goes wrong in it."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.faults, page.asked = [], []
    page.on("console", lambda message: page.faults.append(message.text))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("dialog", lambda dialog: page.faults.append(dialog.message) or dialog.dismiss())
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    page.close()


def key(target: str) -> str:
    return f"invented_eng_Latn-{target}"


def opened(tab, written, target, anchor="samples-"):
    tab.goto(f"{(written / 'index.html').as_uri()}#{anchor}{key(target)}")
    fold = tab.locator(f'[id="samples-{key(target)}"]')
    fold.locator(".later").wait_for(state="detached", timeout=10_000)
    return fold


def test_a_direction_is_read_when_it_is_opened_and_nothing_else(tab, written):
    tab.goto((written / "index.html").as_uri())
    assert len(tab.asked) == 1
    fold = tab.locator(f'[id="samples-{key("mya_Mymr")}"]')
    assert "samples are in samples/" in fold.locator(".later").text_content()
    fold.locator("summary").click()
    fold.locator(".later").wait_for(state="detached", timeout=10_000)
    assert fold.locator(".sample").count() == 9
    assert [url.rpartition("/")[2] for url in tab.asked] == ["index.html", f"{key('mya_Mymr')}.js"]
    assert tab.faults == []


def test_of_a_confirmed_loss_one_sample_is_on_the_page_itself(tab, written):
    tab.goto((written / "index.html").as_uri())
    shown = tab.locator("#samples .sample").evaluate_all("all => all.map(one => one.id)")
    assert shown == [f"s-{key('heb_Hebr')}-1"]
    assert opened(tab, written, "heb_Hebr").locator(".sample").count() == 9


def test_hostile_texts_in_a_file_stay_text(tab, written):
    fold = opened(tab, written, "arb_Arab")
    text = fold.text_content()
    assert "<script>alert(1)</script>" in text
    assert "</script><svg/onload=alert(1)>" in text
    assert "abcRLOdef" in text
    assert fold.locator("script, img, svg, iframe").count() == 0
    assert fold.evaluate(
        "one => [...one.querySelectorAll('*')].every(e => !e.onload && !e.onerror)"
    )
    assert tab.faults == []


def test_a_link_to_a_sample_reads_the_file_that_has_it(tab, written):
    tab.goto((written / "index.html").as_uri())
    anchor = f"s-{key('tha_Thai')}-9"
    assert tab.locator(f'[id="{anchor}"]').count() == 0
    tab.evaluate("anchor => { location.hash = anchor; }", anchor)
    target = tab.locator(f'[id="{anchor}"]')
    target.wait_for(timeout=10_000)
    assert target.is_visible()
    assert target.evaluate("one => one.getBoundingClientRect().top < innerHeight")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_text(path.read_text()[:-6] + 'A");\n'), "is not the file"),
        (lambda path: path.write_text("// nothing\n"), "holds no samples"),
        (lambda path: path.unlink(), "could not be read"),
    ],
)
def test_a_file_that_was_changed_or_is_gone_is_not_shown(tab, written, tmp_path, change, said):
    copy = tmp_path / "copy"
    shutil.copytree(written, copy)
    change(copy / "samples" / f"{key('deu_Latn')}.js")
    tab.goto(f"{(copy / 'index.html').as_uri()}#samples-{key('deu_Latn')}")
    line = tab.locator(f'[id="samples-{key("deu_Latn")}"] .failed')
    line.wait_for(timeout=10_000)
    assert said in line.text_content()
    assert tab.locator(f'[id="samples-{key("deu_Latn")}"] .sample').count() <= 1


def test_marks_can_be_switched_off_and_the_output_is_left(tab, written):
    fold = opened(tab, written, "zho_Hans")
    button = tab.get_by_role("button", name="Show differences")
    lost, new = fold.locator(".sample del").first, fold.locator(".sample ins").first
    assert lost.is_visible()
    assert "underline" in new.evaluate("one => getComputedStyle(one).textDecorationLine")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert not lost.is_visible()
    assert new.is_visible()
    assert new.evaluate("one => getComputedStyle(one).textDecorationLine") == "none"
    assert new.evaluate("one => getComputedStyle(one, '::before').content") == "none"


def test_what_is_marked_is_said_to_those_who_do_not_see_it(tab, written):
    fold = opened(tab, written, "zho_Hans")
    said = {
        tag: fold.locator(f".sample {tag}").first.evaluate(
            "one => getComputedStyle(one, '::before').content"
        )
        for tag in ("ins", "del")
    }
    assert "inserted" in said["ins"]
    assert "missing" in said["del"]


def test_right_to_left_outputs_stay_so_when_they_begin_with_a_mark(tab, written):
    fold = opened(tab, written, "arb_Arab")
    found = fold.locator(".outputs .text:has(ins)").evaluate_all(
        "all => all.map(one => getComputedStyle(one).direction)"
    )
    assert found
    assert {*found} == {"rtl"}


def test_print_says_what_was_not_opened(tab, written):
    tab.goto((written / "index.html").as_uri())
    line = tab.locator(f'[id="samples-{key("tha_Thai")}"] .later .printed')
    tab.emulate_media(media="print")
    assert line.evaluate("one => getComputedStyle(one).display") == "inline"
    assert "not opened before printing" in line.text_content()


def test_a_file_comes_over_http_too(tab, written, server):
    tab.goto(f"{server(written)}/index.html#samples-{key('deu_Latn')}")
    fold = tab.locator(f'[id="samples-{key("deu_Latn")}"]')
    fold.locator(".later").wait_for(state="detached", timeout=10_000)
    assert fold.locator(".sample").count() == 9


@pytest.fixture
def server():
    """Return a function that serves a folder and returns its address."""
    import functools
    import http.server
    import threading

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    started = []

    def serve(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        started.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{started[-1].server_port}"

    yield serve
    for one in started:
        one.shutdown()
        one.server_close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_samples_have_no_faults_of_accessibility(tab, written, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    tab.emulate_media(color_scheme=scheme)
    opened(tab, written, "heb_Hebr")
    tab.locator("#samples .flags summary").click()
    found = axe.Axe().run(tab, context="#samples")
    faults = [
        (one["id"], [n["html"] for n in one["nodes"]]) for one in found.response["violations"]
    ]
    assert faults == []
