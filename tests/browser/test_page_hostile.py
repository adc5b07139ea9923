"""Hostile texts in every place that can hold one: they are shown, and do nothing."""

import pytest
import regex
from hostile import BROKEN, TEXTS
from report_lab import Invention, Text

from bayling_eval.report import samples

pytest_plugins = ["browser_lab"]

# What has no business on a page of ours, or only where it is ours.
ACTIVE = """() => {
  const names = `applet area audio base canvas dialog embed fieldset form frame frameset iframe
    image img marquee math noembed object param picture plaintext portal slot source template
    textarea track video xmp animate animateMotion animateTransform foreignObject
    set`.split(/\\s+/);
  const found = [];
  const own = { script: 1, style: 1, 'head > title': 1, body: 1, main: 1, link: 1, meta: 5 };
  for (const [name, count] of Object.entries(own)) {
    if (document.querySelectorAll(name).length !== count) found.push(name);
  }
  for (const one of document.querySelectorAll('*')) {
    if (names.includes(one.localName) || one.localName.includes('-')) found.push(one.outerHTML);
    for (const { name, value } of one.attributes) {
      const link = ['href', 'xlink:href', 'src', 'action', 'formaction', 'data'].includes(name);
      const away = link && !/^(#[\\w.+-]*|data:,)$/.test(value);
      const acts = /^on|^srcdoc$|^srcset$|^ping$|^autofocus$/.test(name);
      if (away || acts) found.push(`${name}=${value}`);
    }
  }
  return found.map(text => text.slice(0, 200));
}"""
# Names stand in thousands of rows of the files beside the page; reasons and texts are whole.
NAME = 200
# Chips stand for characters that cannot be seen.
WITHOUT_CHIPS = """all => all.map(one => {
  const copy = one.cloneNode(true);
  copy.querySelectorAll('.chip, .none').forEach(chip => chip.remove());
  return copy.textContent;
})"""
HIDDEN = regex.compile(r"[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\s]+")


def seen(text: str) -> str:
    """Return the characters of a text that a reader sees."""
    return HIDDEN.sub("", text)


def starts(shown: str, text: str) -> bool:
    """Return whether what is shown is the text, or the beginning of a long one."""
    return shown == text or (len(text) > 1_000 and len(shown) > 100 and text.startswith(shown))


@pytest.fixture(scope="module")
def texts(written):
    """A page with every text as source, reference and output."""
    rolled = [*TEXTS[1:], TEXTS[0]]
    found = [
        Text(f"{place} {one}", one, (one, other))
        for place, (one, other) in enumerate(zip(TEXTS, rolled, strict=True))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "PICKS", len(found))
        patch.setattr(samples, "choose", lambda delta, ids, sources: _all(len(found)))
        pair = ("eng_Latn", "deu_Latn")
        names = ("invented-new", "invented-old")
        return written(Invention(names, [pair], texts={pair: found}))


def _all(count: int) -> dict[str, list[int]]:
    return {"lowest": [*range(count)], "highest": [], "random": []}


@pytest.fixture(scope="module")
def names(written):
    """A page with every text as a task, a language and a reason, and in the names of systems."""
    spoken = [text[:NAME] for text in TEXTS] + ["for one more reason"] * len(BROKEN)
    keys = [("eng_Latn", f"{text} {n}") for n, text in enumerate(spoken) for _ in range(2)]
    keys = [(src, f"{tgt} {n % 2}") for n, (src, tgt) in enumerate(keys)]
    called = [" ".join(text[:NAME] for text in TEXTS[place::6]) for place in range(6)]
    return written(Invention(called, keys, task="{1}", reasons=[*BROKEN, *TEXTS], every=2))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_are_shown_and_do_nothing(visit, texts, scheme):
    one = visit(texts, color_scheme=scheme)
    one.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert one.page.evaluate(ACTIVE) == []
    assert one.page.locator(".sample").count() == len(TEXTS)
    found = one.page.locator("dl:not(.outputs) dd.text").evaluate_all(WITHOUT_CHIPS)
    for text, source, reference in zip(TEXTS, found[::2], found[1::2], strict=True):
        assert starts(seen(reference), seen(text))
        number, _, rest = source.partition(" ")
        assert number.isdecimal()
        # A cluster that never ends is not begun.
        assert starts(seen(rest), seen(text)) or "\u0301" in text
    assert one.page.evaluate("document.scrollingElement.scrollWidth") <= 1280


def test_names_and_reasons_are_shown_and_do_nothing(visit, names):
    one = visit(names)
    one.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert one.page.evaluate(ACTIVE) == []
    assert one.page.locator("#directions tbody tr").count() == 2 * len([*TEXTS, *BROKEN])
    reasons = one.page.locator("#missing ~ .fold tbody tr td.set").evaluate_all(WITHOUT_CHIPS)
    have = {seen(text)[:40] for text in reasons}
    for text in TEXTS:
        assert seen(text)[:40] in have
    assert one.page.evaluate("document.scrollingElement.scrollWidth") <= 1280


def test_a_narrow_page_of_hostile_names_is_not_scrolled_sideways(visit, names):
    one = visit(names, viewport={"width": 400, "height": 800})
    assert one.page.evaluate("document.scrollingElement.scrollWidth") <= 400


def test_hostile_rows_can_be_searched_for(visit, names):
    one = visit(names)
    one.page.get_by_label("Search").fill("<script>alert(1)</script>")
    assert 2 < len(one.shown()) < 2 * len(TEXTS)
    one.page.get_by_label("Search").fill("'\"><\\")
    assert one.shown() == []
