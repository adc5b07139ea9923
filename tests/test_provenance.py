"""Digests: literals from another implementation, and what they must tell apart."""

import math

import pytest

from bayling_eval.provenance import digest, digest_file, digest_lines, versions


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # printf '{"a":[1,null,true],"b":"é"}' | sha256sum (GNU coreutils)
        (
            {"b": "é", "a": [1, None, True]},
            "052bf4934febe2a267bfd9576365d3d358f728ecdddce6230c56986a01730cf1",
        ),
        # printf '["a","b"]' | sha256sum
        (["a", "b"], "0473ef2dc0d324ab659d3580c1134e9d812035905c4781fdd6d529b0c6860e13"),
        # printf '""' | sha256sum
        ("", "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"),
    ],
)
def test_digest_is_the_sha256_of_canonical_json(value, expected):
    assert digest(value) == expected


def test_digest_ignores_the_order_of_keys_at_every_depth():
    assert digest({"a": {"x": 1, "y": 2}, "b": 3}) == digest({"b": 3, "a": {"y": 2, "x": 1}})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        (["a"], ["a", ""]),
        (["a\nb"], ["a", "b"]),
        (["a", "b"], ["b", "a"]),
        ([], [""]),
        ([[]], []),
        ("1", 1),
        (1, 1.0),
        (1, True),
        (None, "null"),
        (None, ""),
        ("\u00e9", "e\u0301"),
        ("\ud800", "\udfff"),
        ("\ud800", "\\ud800"),
        ("a\0", "a"),
        (math.inf, -math.inf),
        ({"a": 1}, {"a": 1, "b": None}),
    ],
)
def test_digest_tells_apart(one, other):
    assert digest(one) != digest(other)


def test_digest_lines_takes_any_iterable():
    lines = ["one", "", "\u2028two\n", "\ud800"]
    assert digest_lines(iter(lines)) == digest_lines(tuple(lines)) == digest(lines)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # FIPS 180-2 appendix B.1, and the well-known digest of nothing.
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        # FIPS 180-2 appendix B.3: a million times the letter a, more than one read.
        (b"a" * 10**6, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)
def test_digest_file_is_the_sha256_of_the_bytes(tmp_path, content, expected):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert digest_file(path) == expected


def test_versions_leaves_out_what_is_not_installed():
    found = versions("sacrebleu", "no-such-package-anywhere")
    # The exact pin of pyproject.toml.
    assert found == {"sacrebleu": "2.6.0"}
