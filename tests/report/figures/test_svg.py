"""Drawings become SVG that a strict content policy and two themes allow."""

import re
import warnings
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from bayling_eval.report.figures.svg import COLOURS, canvas, finish, mark, panel

HOSTILE = '$x^2$ <b>&"\u202eabc\nd\x00\ud800 贝灵'
ATTRIBUTES = re.compile(r"\s(style|on\w+)=")


def made(name="one", text=HOSTILE, url=None, size=300):
    with canvas(size, 200) as drawing:
        axes = panel(drawing, (50, 20, 200, 150), "left")
        for x, role in enumerate(COLOURS):
            axes.plot([x], [x], "^", color=COLOURS[role], gid=mark(f"m:{role}"), clip_on=False)
        axes.hlines([1, 2], [1, 2], [2, 3], color=COLOURS["down"], gid=mark("bars"))
        axes.text(1, 1, text.encode("utf-8", "replace").decode(), url=url)
        return finish(drawing, name, text, f"alt {text}", tips={"m:up": [text]}, note="n")


def test_every_colour_is_a_class_and_nothing_has_a_style():
    figure = made()
    for role in COLOURS:
        assert f"f-{role} s-{role}" in figure.svg
    assert not ATTRIBUTES.search(figure.svg)
    assert "#" not in figure.svg.replace('href="#one-', "").replace("url(#one-", "")
    assert "<style" not in figure.svg
    assert "metadata" not in figure.svg


def test_every_class_is_in_the_style_sheet():
    from bayling_eval.report import figures

    page = figures.__path__[0].removesuffix("figures") + "page/figures.css"
    css = open(page, encoding="utf-8").read()  # noqa: PTH123, SIM115
    for role in COLOURS:
        assert f".f-{role} {{ fill: var(--{role}); }}" in css
        assert f".s-{role} {{ stroke: var(--{role}); }}" in css


def test_ids_begin_with_the_name_and_references_hold():
    ids = [set(re.findall(r'\bid="([^"]*)"', made(name).svg)) for name in ("one", "two")]
    assert not ids[0] & ids[1]
    assert all(one.startswith("one-") for one in ids[0])
    used = set(re.findall(r'(?:href="|url\()#([^")]*)', made().svg))
    assert used <= ids[0]


def test_the_file_has_fixed_colours_and_no_link_to_a_page():
    figure = made(url="#row-1")
    assert '<a href="#row-1">' in figure.svg
    file = figure.files["svg"].decode()
    assert "class=" not in file
    assert "<a" not in file
    assert COLOURS["up"] in file
    assert ET.fromstring(file).get("font-family")  # noqa: S314


@pytest.mark.parametrize(("url", "role"), [(None, "img"), ("#row", "group")])
def test_links_stay_in_reach_of_screen_readers(url, role):
    root = ET.fromstring(made(url=url).svg)  # noqa: S314
    assert root.get("role") == role
    described = root.find(f".//*[@id='{root.get('aria-describedby')}']")
    assert described.text.startswith("alt $x^2$ <b>")


def test_hostile_text_is_text():
    figure = made()
    root = ET.fromstring(figure.svg)  # noqa: S314
    assert "$x^2$ <b>" in "".join(root.itertext())
    assert root.find(".//{*}b") is None
    assert "\\u202e" in root.get("aria-label")
    assert "\\ud800" in root.get("aria-label")
    tip = root.find(".//*[@data-g='m:up']//{*}title")
    assert "\\u202e" in tip.text


def test_the_same_drawing_is_the_same_bytes_whatever_the_users_settings():
    before = made()
    with mpl.rc_context({"svg.fonttype": "path", "font.size": 30, "axes.grid": True}):
        after = made()
    assert before == after
    assert re.search(rb"/(CreationDate|ModDate|Producer|Creator)", before.files["pdf"]) is None
    assert b"/FontType 42" in before.files["pdf"] or b"/CIDFontType2" in before.files["pdf"]


def test_nothing_warns_of_glyphs_and_the_pdf_spells_them():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert made(text="贝灵 ကမ္ဘာ").files["pdf"].startswith(b"%PDF")


def test_a_foreign_colour_and_a_bad_name_are_refused():
    with canvas(100, 100) as drawing:
        panel(drawing, (0, 0, 100, 100)).plot([1], [1], color="#123456")
        with pytest.raises(ValueError, match="no colour of ours"):
            finish(drawing, "x", "t", "a")
        with pytest.raises(ValueError, match="no name of a file"):
            finish(drawing, "../x", "t", "a")


def test_a_pixel_is_a_unit():
    root = ET.fromstring(made(size=300).svg)  # noqa: S314
    assert root.get("viewBox") == "0 0 300 200"
    assert root.get("width") == "300"
