"""Links into the page: what is folded away or filtered is shown, in sight and focused."""

import pytest
from browser_lab import SCRIPTS
from report_lab import Invention, Text

pytest_plugins = ["browser_lab"]

TASK = "invented_eng_Latn-amh_Ethi"


@pytest.fixture(scope="session")
def texts(written):
    """A page of four directions, one of which has texts."""
    segments = [Text(f"source {i}", f"reference {i}", (f"new {i}", f"old {i}")) for i in range(12)]
    pairs = [("eng_Latn", key) for key in ("amh_Ethi", "deu_Latn", "fra_Latn", "ita_Latn")]
    found = {("eng_Latn", "amh_Ethi"): segments}
    return written(Invention(("invented-new", "invented-old"), pairs, texts=found))


def focused(one) -> str:
    return one.page.evaluate(
        "() => { const at = document.activeElement; return at.id || at.parentElement.id; }"
    )


@pytest.mark.parametrize("loaded", [True, False])
def test_a_link_to_a_row_leads_to_it(visit, some, loaded):
    one = visit(some, "#dir-invented_eng_Latn-yor_Latn" if loaded else "")
    for row in ("dir-invented_eng_Latn-yor_Latn", "dir-invented_kor_Hang-eng_Latn"):
        one.go(row)
        assert focused(one) == row
        assert not one.covered(f"#{row}")
        assert one.page.locator(".here").evaluate_all("all => all.map(one => one.id)") == [row]


def test_every_row_of_the_table_comes_out_from_under_its_head(visit, some):
    one = visit(some)
    rows = one.shown()
    for row in (rows[0], rows[1], rows[len(rows) // 2], rows[-1]):
        one.go(row)
        assert not one.covered(f"#{row}")


def test_a_link_to_a_language_shows_its_rows(visit, some):
    one = visit(some, "#lang-amh_Ethi")
    both = {"dir-invented_amh_Ethi-eng_Latn", "dir-invented_eng_Latn-amh_Ethi"}
    assert set(one.shown()) == both
    assert focused(one) in both
    one.go("lang-yor_Latn")
    assert len(one.shown()) == 2
    assert all("yor_Latn" in row for row in one.shown())
    assert one.fragment == "lang-yor_Latn"


def test_where_nothing_is_filtered_the_link_leads_to_the_languages_first_row(visit, texts):
    one = visit(texts, "#lang-ita_Latn")
    assert len(one.shown()) == 4
    assert focused(one) == "dir-invented_eng_Latn-ita_Latn"


def test_a_link_to_samples_opens_them_each_time(visit, texts):
    one = visit(texts, f"#samples-{TASK}")
    fold = one.page.locator(f"[id='samples-{TASK}']")
    for _ in range(2):
        assert fold.get_attribute("open") is not None
        assert focused(one) == f"samples-{TASK}"
        assert not one.covered(f"[id='samples-{TASK}'] summary")
        fold.locator("> summary").click()
        assert fold.get_attribute("open") is None
        one.page.locator(f"[id='dir-{TASK}'] a[href='#samples-{TASK}']").click()


def test_a_link_to_one_sample_opens_what_it_lies_in(visit, texts):
    ids = visit(texts).page.locator(".sample").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) > 3
    one = visit(texts, f"#{ids[-1]}")
    assert one.page.locator(f"[id='{ids[-1]}']").is_visible()
    assert focused(one) == ids[-1]
    assert not one.covered(f"[id='{ids[-1]}']")


def test_a_link_into_a_fold_of_a_fold_opens_both(visit, texts):
    one = visit(texts)
    one.page.evaluate(
        """() => {
          const fold = document.querySelector('main details:last-of-type');
          const inner = fold.appendChild(document.createElement('details'));
          const row = inner.appendChild(document.createElement('p'));
          Object.assign(row, { id: 'gate-x', textContent: 'x' });
        }"""
    )
    one.go("gate-x")
    assert one.page.locator("#gate-x").is_visible()
    assert focused(one) == "gate-x"


def test_headings_that_the_navigation_leads_to_are_in_sight(visit, some):
    one = visit(some)
    anchors = one.page.locator("nav a").evaluate_all("all => all.map(one => one.hash)")
    assert len(anchors) > 4
    for anchor in anchors:
        one.page.locator(f"nav a[href='{anchor}']").click()
        one.page.wait_for_function("hash => location.hash === hash", arg=anchor)
        assert not one.covered(f"{anchor} > :not(.vh)")
        assert focused(one) == f"h-{anchor[1:]}"


@pytest.mark.parametrize("fragment", ["#%E0%A4%A", "#directions?%", "#lang-", "#no-such-id", "#?"])
def test_a_link_that_leads_nowhere_does_nothing(visit, few, fragment):
    one = visit(few, fragment)
    assert len(one.shown()) == 4
    assert one.page.locator(".here").count() == 0


def test_languages_have_their_tag_and_direction(visit, some):
    page = visit(some).page
    for key, expected in SCRIPTS.items():
        own = page.locator(f"[id='dir-invented_eng_Latn-{key}'] th bdi.own")
        assert (own.get_attribute("lang"), own.get_attribute("dir")) == expected
