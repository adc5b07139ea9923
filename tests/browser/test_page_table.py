"""Sorting and filtering of the table of directions, in Chromium."""

import itertools
import re
from collections import Counter
from urllib.parse import parse_qs

import pytest

pytest_plugins = ["browser_lab"]

KEYS = """column => [...document.querySelector('.sortable').tBodies[0].rows].map(
  row => [row.id, row.cells[column].dataset.s ?? null])"""


def keys(page, column: int) -> list[tuple[str, str | None]]:
    return [tuple(one) for one in page.evaluate(KEYS, column)]


def heads(page):
    return page.locator("#directions .sortable thead th")


def test_each_heading_sorts_both_ways_with_what_is_missing_last(visit, some):
    page = visit(some).page
    sizes = Counter()
    for column in range(heads(page).count()):
        head = heads(page).nth(column)
        number = head.get_attribute("data-t") != "text"
        before = [row for row, _ in keys(page, column)]
        was = head.get_attribute("aria-sort")
        head.get_by_role("button").click()
        now = "descending" if was == "ascending" else "ascending"
        assert head.get_attribute("aria-sort") == now
        assert page.locator("#directions [aria-sort]").count() == 1
        found = keys(page, column)
        present = [key for _, key in found if key is not None]
        assert [key for _, key in found[len(present) :]] == [None] * (len(found) - len(present))
        if number:
            values = [float(key) for key in present]
            assert values == sorted(values, reverse=now == "descending")
        else:
            shown = [key.casefold() for key in present if key.isascii()]
            assert shown == sorted(shown, reverse=now == "descending")
        # Ties stay as they were.
        place = {row: at for at, row in enumerate(before)}
        for (one, key), (other, next_key) in itertools.pairwise(found):
            if key == next_key:
                assert place[one] < place[other]
                sizes["tied"] += 1
        sizes["missing"] += len(found) - len(present)
    assert sizes["tied"] > 48
    assert sizes["missing"] > 6


def test_the_keyboard_reaches_a_heading_and_sorts_by_it(visit, some):
    page = visit(some, "#directions").page
    reached = ""
    for _ in range(20):
        page.keyboard.press("Tab")
        reached = page.evaluate("document.activeElement.textContent")
        if reached == "Target":
            break
    assert reached == "Target"
    page.keyboard.press("Enter")
    assert heads(page).nth(1).get_attribute("aria-sort") == "ascending"
    assert page.evaluate("document.activeElement.textContent") == "Target"
    assert next(key for _, key in keys(page, 1)).startswith("Acehnese")
    page.keyboard.press("Space")
    assert heads(page).nth(1).get_attribute("aria-sort") == "descending"


def test_404_rows_are_sorted_in_half_a_second(visit, many):
    page = visit(many).page
    counters = page.context.new_cdp_session(page)
    # Of the processor's time: other tests run beside this one.
    counters.send("Performance.enable", {"timeDomain": "threadTicks"})

    def taken() -> float:
        found = counters.send("Performance.getMetrics")["metrics"]
        named = {one["name"]: one["value"] for one in found}
        return sum(named[f"{part}Duration"] for part in ("Script", "RecalcStyle", "Layout"))

    seconds = []
    for head in heads(page).all()[:8]:
        before = taken()
        head.evaluate("th => { th.firstElementChild.click(); th.getBoundingClientRect(); }")
        seconds.append(taken() - before)
    assert 0 < max(seconds) < 0.5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("amharic", {"amh_Ethi"}),
        ("አማርኛ", {"amh_Ethi"}),
        ("AMH", {"amh_Ethi"}),
        ("阿姆哈拉语", {"amh_Ethi"}),
        ("eng_Latn-amh_Ethi", {"amh_Ethi"}),
        ("sango", {"sag_Latn"}),
        ("Sängö", {"sag_Latn"}),
        ("sa\u0308ngo\u0308", {"sag_Latn"}),
        ("yorùbá", {"yor_Latn"}),
        ("yoruba", {"yor_Latn"}),
        ("עברית", {"heb_Hebr"}),
        ("हिन्दी", {"hin_Deva"}),
        ("no such language", set()),
    ],
)
def test_search_finds_names_autonyms_and_codes_in_any_spelling(visit, some, text, found):
    one = visit(some)
    one.page.get_by_label("Search").fill(text)
    codes = {code for row in one.shown() for code in row.removeprefix("dir-invented_").split("-")}
    assert codes - {"eng_Latn"} == found
    assert one.page.locator("output").inner_text() == f"{len(one.shown())} of 48 shown"


def test_search_takes_both_languages_of_a_direction(visit, some):
    one = visit(some)
    one.page.get_by_label("Search").fill("English → Amharic")
    found = {"dir-invented_amh_Ethi-eng_Latn", "dir-invented_eng_Latn-amh_Ethi"}
    assert set(one.shown()) == found


@pytest.mark.parametrize("name", ["f", "c", "b", "v"])
def test_a_choice_has_the_values_that_occur_and_keeps_their_rows(visit, some, name):
    one = visit(some)
    page = one.page
    rows = page.evaluate(
        "name => [...document.querySelectorAll('.sortable tbody tr')]"
        ".map(row => [row.id, row.dataset[name] ?? null])",
        name,
    )
    values = Counter(value for _, value in rows if value)
    choice = page.locator(f"select[name={name}]")
    options = choice.locator("option").evaluate_all("all => all.map(one => one.value)")
    assert options[0] == ""
    assert sorted(options[1:]) == sorted(values)
    for value in options[1:4]:
        choice.select_option(value)
        assert set(one.shown()) == {row for row, own in rows if own == value}
        assert page.locator("output").inner_text() == f"{values[value]} of 48 shown"


def test_choices_are_kept_in_the_address_and_cleared(visit, some):
    one = visit(some)
    page = one.page
    page.locator("select[name=v]").select_option("regressed")
    page.get_by_label("Search").fill("arab")
    state = parse_qs(one.fragment.removeprefix("directions?"))
    assert state == {"v": ["regressed"], "s": ["arab"]}
    found = one.shown()
    assert 0 < len(found) < 48
    again = visit(some, f"#{one.fragment}")
    assert again.shown() == found
    assert again.page.locator("select[name=v]").input_value() == "regressed"
    assert not again.covered("#h-directions")
    again.go("directions?c=Ethi&f=no-such-family")
    assert [row for row in again.shown() if "Ethi" not in row] == []
    assert again.page.get_by_label("Search").input_value() == ""
    again.page.get_by_role("button", name="Clear").click()
    assert len(again.shown()) == 48
    assert again.fragment == "directions"
    assert again.page.get_by_role("button", name="Clear").is_disabled()


def test_the_count_is_said_politely_and_labels_are_there(visit, some):
    page = visit(some).page
    assert page.locator("output").get_attribute("aria-live") == "polite"
    assert page.get_by_role("search", name="Filter of directions").count() == 1
    assert page.locator(".filter").is_visible()


def test_filtered_rows_stay_hidden_when_they_are_sorted(visit, some):
    one = visit(some)
    one.page.locator("select[name=c]").select_option("Ethi")
    before = set(one.shown())
    heads(one.page).nth(0).get_by_role("button").click()
    assert set(one.shown()) == before


def test_a_link_to_a_row_that_is_filtered_out_ends_the_filter(visit, some):
    one = visit(some, "#directions?c=Ethi")
    assert len(one.shown()) < 48
    one.go("dir-invented_eng_Latn-yor_Latn")
    assert len(one.shown()) == 48
    assert not one.covered("#dir-invented_eng_Latn-yor_Latn")
    assert one.page.locator("select[name=c]").input_value() == ""


def test_few_rows_have_no_filter(visit, few):
    page = visit(few).page
    assert page.locator(".filter").count() == 0
    assert page.locator(".sortable tbody tr").count() == 4


def test_family_script_and_speakers_are_of_the_language_opposite_english(visit, some):
    page = visit(some).page
    titles = heads(page).get_by_role("button").all_inner_texts()
    assert titles[-3:] == ["Family", "Script", "Speakers"]
    for row in ("dir-invented_eng_Latn-amh_Ethi", "dir-invented_amh_Ethi-eng_Latn"):
        cells = page.locator(f"[id='{row}'] > *").all_inner_texts()
        assert cells[-3:] == ["Afro-Asiatic", "Ethi", "10M-100M"]
        name = page.locator(f"[id='{row}'] .l", has_text="Amharic")
        assert re.search(r"Amharic\s+አማርኛ\s+amh_Ethi", name.inner_text())
        own = name.locator("bdi")
        assert (own.get_attribute("lang"), own.get_attribute("dir")) == ("am", "ltr")
