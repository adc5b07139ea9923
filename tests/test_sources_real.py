"""The published layouts, on the real folders."""

from collections import Counter

import pytest

from bayling_eval import languages, sources

# The real folders: the published sizes (FLORES devtest 1012, NTREX-128 1997), or a shortened
# copy.
SIZES = {"flores200": {150, 1012}, "flores101": {100, 1012}, "ntrex128": {150, 1997}}
# Files of the published folders; NTREX-128 has the source, 128 references, two of them Spanish,
# and two additional ones.
COUNTS = {"flores200": 204, "flores101": 102, "ntrex128": 1 + 127 + 2}


@pytest.mark.data
@pytest.mark.parametrize("family", SIZES)
def test_every_language_of_a_multi_parallel_set_is_read(data_dir, family):
    keys = list(languages.codes(family))
    assert len(keys) == COUNTS[family]
    found = [sources.parallel(family, "eng_Latn", key, data_dir) for key in keys]
    sizes = {len(one.sources) for one in found} | {len(one.references["ref"]) for one in found}
    assert len(sizes) == 1
    assert sizes <= SIZES[family]
    columns = [one.references["ref"] for one in found]
    assert all(any(line.strip() for line in column) for column in columns)
    assert not any(line.endswith("\r") for column in columns for line in column)
    # No language's file is taken for another's.
    assert max(Counter(columns).values()) == 1
    (documents,) = {one.documents for one in found}
    assert documents is not None
    assert 1 < len(set(documents)) < len(documents)


# wmt-conference/wmt22-news-systems, txt/: wc -l of each source; its references.
WMT22 = ["cs-en 1448 B C", "de-en 1984 A B", "de-fr 1984 A", "en-cs 2037 B C", "en-hr 1671 A stud"]
WMT22 += ["en-ja 2037 A", "en-liv 420 A", "en-zh 2037 A B", "sah-ru 1123 A", "uk-en 2018 A"]


@pytest.mark.data
@pytest.mark.parametrize("expected", WMT22)
def test_every_wmt22_pair_is_read(data_dir, expected):
    pair, count, *references = expected.split()
    src, tgt = (languages.resolve(code, "wmt22") for code in pair.split("-"))
    found, rows = sources.parallel("wmt22", src, tgt, data_dir), int(count)
    assert len(found.sources) == rows
    assert list(found.references) == references
    assert all(len(lines) == rows for lines in found.references.values())
    assert len(set(found.references.values())) == len(references)
    assert found.sources not in found.references.values()


@pytest.mark.data
@pytest.mark.parametrize(("split", "count"), [("val", 100), ("test", 500)])
def test_every_language_of_xcopa_is_read(data_dir, split, count):
    """Ponti et al. 2020: 11 languages, 100 validation and 500 test rows."""
    keys = list(languages.codes("xcopa"))
    assert len(keys) == 11
    found = [sources.choices("xcopa", key, split, data_dir).rows for key in keys]
    fields = {"premise", "choice1", "choice2", "question", "label", "idx", "changed"}
    for rows in found:
        assert len(rows) == count
        assert all(set(row) == fields and row["label"] in {0, 1} for row in rows)
        # The languages are parallel.
        assert [row["idx"] for row in rows] == [row["idx"] for row in found[0]]
    assert len({rows[0]["premise"] for rows in found}) == 11
