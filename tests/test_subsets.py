"""Which documents are asked: names that are read back, and subsets that are nested."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayling_eval.errors import UserError
from bayling_eval.subsets import Subset

SIZES = st.integers(1, 60)
SEEDS = st.integers(0, 2**31)


def test_all_is_every_document_and_whole():
    assert Subset().name == "all"
    assert not Subset().partial
    assert list(Subset().of(4)) == [0, 1, 2, 3]


def test_a_limit_is_the_first_documents_and_partial():
    assert Subset(3).name == "limit-3"
    assert Subset(3).partial
    assert list(Subset(3).of(9)) == [0, 1, 2]
    # Even where it holds all that there are: the next version of a benchmark may have more.
    assert list(Subset(3).of(2)) == [0, 1]


def test_a_declared_subset_is_whole_and_always_the_same():
    subset = Subset(5, 7)
    assert subset.name == "n5-seed7"
    assert not subset.partial
    # Made once with hashlib: answers that are kept and published scores hang on it.
    assert list(subset.of(20)) == [3, 6, 7, 8, 19]


@given(st.one_of(st.just(Subset()), st.builds(Subset, SIZES), st.builds(Subset, SIZES, SEEDS)))
def test_a_name_says_the_subset(subset):
    assert Subset.parse(subset.name) == subset


@pytest.mark.parametrize(
    "name", ["", "All", "n5", "limit", "limit-", "limit--3", "n5-seed", "n-seed7", "n5-seed7 ", "5"]
)
def test_another_name_is_refused(name):
    with pytest.raises(UserError, match="known are all, nN-seedS and limit-N"):
        Subset.parse(name)


@given(SIZES, SEEDS, st.integers(0, 100))
def test_a_subset_has_its_number_of_documents_in_order_and_each_once(n, seed, count):
    chosen = list(Subset(n, seed).of(count))
    assert len(chosen) == min(n, count)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(count))


@given(SIZES, SIZES, SEEDS, st.integers(0, 100))
def test_subsets_of_one_seed_are_nested(one, other, seed, count):
    small, large = sorted((one, other))
    assert set(Subset(small, seed).of(count)) <= set(Subset(large, seed).of(count))


@given(SIZES, SEEDS, st.integers(1, 100))
def test_a_document_that_is_added_pushes_out_at_most_one(n, seed, count):
    before, after = (set(Subset(n, seed).of(size)) for size in (count, count + 1))
    assert len(before - after) <= 1


def test_seeds_choose_differently_and_every_document_is_chosen_by_some():
    chosen = [tuple(Subset(10, seed).of(100)) for seed in range(100)]
    assert len(set(chosen)) == 100
    counts = [sum(index in one for one in chosen) for index in range(100)]
    # 10 of 100 are expected, give or take 3 (binomial).
    assert min(counts) > 0
    assert max(counts) < 25
