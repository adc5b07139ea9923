"""Light and dark, paper, narrow windows, and what axe-core says."""

import re

import pytest
from report_lab import Invention

pytest_plugins = ["browser_lab"]

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
WHITE = "rgb(255, 255, 255)"
# A4 landscape without margins of 10 mm, at 96 pixels an inch.
PAPER = {"width": round(277 / 25.4 * 96), "height": round(190 / 25.4 * 96)}
WIDTHS = """() => {
  const page = document.scrollingElement.scrollWidth;
  const wide = [...document.querySelectorAll('table, figure, section')];
  return [page, ...wide.map(one => Math.ceil(one.getBoundingClientRect().right))];
}"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_404_directions(visit, many, scheme):
    assert visit(many, color_scheme=scheme).violations() == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_an_open_filtered_narrow_page(visit, some, scheme):
    size = {"width": 400, "height": 800}
    one = visit(some, "#directions?c=Ethi", color_scheme=scheme, viewport=size)
    one.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert one.violations() == ""
    one.page.get_by_role("button", name="Dark").click()
    assert one.violations() == ""


def test_the_theme_follows_the_system_until_it_is_chosen(visit, few):
    page = visit(few, color_scheme="light").page
    button = page.get_by_role("button", name="Dark")
    assert (button.get_attribute("aria-pressed"), page.evaluate(BACKGROUND)) == ("false", WHITE)
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("#theme[aria-pressed=true]")
    dark = page.evaluate(BACKGROUND)
    assert dark != WHITE
    page.emulate_media(color_scheme="light")
    button.click()
    assert page.evaluate(BACKGROUND) == dark
    page.reload()
    assert page.evaluate(BACKGROUND) == dark
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(BACKGROUND) == WHITE
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(BACKGROUND) == dark


def test_a_browser_that_keeps_nothing_has_themes_too(visit, few):
    refuse = "for (const name of ['getItem', 'setItem', 'removeItem']) Storage.prototype[name] = "
    refuse += "() => { throw new DOMException('refused', 'SecurityError'); };"
    page = visit(few, script=refuse, color_scheme="light").page
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(BACKGROUND) != WHITE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_is_never_scrolled_sideways(visit, some, scheme):
    page = visit(some, viewport={"width": 400, "height": 800}, color_scheme=scheme).page
    for opened in (False, True):
        folds = (
            f"document.querySelectorAll('details').forEach(one => {{ one.open = {int(opened)}; }})"
        )
        page.evaluate(folds)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 400
    box = page.locator("#directions .scroll")
    assert box.evaluate("one => one.scrollWidth > one.clientWidth")
    assert page.locator("#directions .cue").is_visible()


def test_paper_is_white_has_all_folds_and_cuts_nothing_off(visit, some):
    page = visit(some, "#directions?c=Ethi", color_scheme="dark", viewport=PAPER).page
    page.get_by_role("button", name="Dark").click()
    page.get_by_role("button", name="Dark").click()
    assert page.locator("details[open]").count() == 0
    page.evaluate(
        """() => addEventListener('beforeprint', () => {
          document.body.dataset.open = document.querySelectorAll('details:not([open])').length;
        })"""
    )
    page.emulate_media(media="print")
    assert page.evaluate(BACKGROUND) == WHITE
    assert max(page.evaluate(WIDTHS)) <= PAPER["width"]
    assert page.locator("#directions tbody tr:visible").count() == 4
    assert page.locator(".filter output").is_visible()
    assert page.locator(".filter output").inner_text() == "4 of 48 shown"
    assert page.locator("select[name=c]").is_visible()
    assert not page.locator("select[name=f]").is_visible()
    assert page.locator("thead").first.evaluate("one => getComputedStyle(one).display") == (
        "table-header-group"
    )
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 1
    assert page.evaluate("document.body.dataset.open") == "0"
    assert page.locator("details[open]").count() == 0


def test_columns_of_twelve_systems_fit_on_paper(visit, written):
    names = ["invented-new", *(f"invented-old-{i}" for i in range(11))]
    path = written(Invention(names, [("eng_Latn", key) for key in ("deu_Latn", "amh_Ethi")]))
    page = visit(path, viewport=PAPER).page
    page.emulate_media(media="print")
    assert page.locator("#directions thead th").count() == 24
    # The browser prints what is wider at a smaller scale, down to a half.
    assert max(page.evaluate(WIDTHS)) <= 1.25 * PAPER["width"]
