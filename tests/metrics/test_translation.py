"""BLEU, chrF and chrF++ against sacrebleu itself."""

import csv

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from bayling_eval import languages, sources
from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec, Segments, make
from bayling_eval.metrics.translation import TOKENIZERS, tokenizer_for

CHRF_WORDS = {"chrf": 0, "chrf++": 2}
# sacrebleu 2.6.0, printed by `sacrebleu --metrics bleu chrf --chrf-word-order 2` (its README shows
# the notation).
BLEU_SIGNATURE = "nrefs:{}|case:mixed|eff:no|tok:{}|smooth:exp|version:2.6.0"
CHRF_SIGNATURE = "nrefs:{}|case:{}|eff:yes|nc:6|nw:{}|space:{}|version:2.6.0"


def score(spec, segments):
    metric = make(MetricSpec.parse(spec))
    found = metric.statistics(segments)
    assert found.values.shape[0] == len(segments.hypotheses)
    return float(metric.aggregate(found.values.sum(axis=0))), found.signature


def sacrebleu_of(spec, tokenizer="13a"):
    return (
        BLEU(tokenize=tokenizer, force=True)
        if spec == "bleu"
        else CHRF(word_order=CHRF_WORDS[spec])
    )


def sacrebleu_score(spec, segments, tokenizer="13a"):
    """Return score and signature of sacrebleu's own corpus_score."""
    metric = sacrebleu_of(spec, tokenizer)
    references = [list(lines) for lines in segments.references.values()]
    value = metric.corpus_score(list(segments.hypotheses), references).score
    return value, str(metric.get_signature())


def same(ours, theirs):
    """Compare to the last bit."""
    assert ours == theirs


@st.composite
def bleu_sums(draw):
    """Sums as a corpus may give them: no more matches than n-grams, ever fewer n-grams."""
    length = draw(st.integers(0, 60))
    totals, limit = [], length
    for _ in range(4):
        limit = draw(st.integers(0, limit))
        totals.append(limit)
    correct = [draw(st.integers(0, total)) for total in totals]
    return [length, draw(st.integers(0, 60)), *correct, *totals]


@st.composite
def chrf_sums(draw, orders):
    rows = []
    for _ in range(orders):
        output, reference = draw(st.integers(0, 60)), draw(st.integers(0, 60))
        rows += [output, reference, draw(st.integers(0, min(output, reference)))]
    return rows


@settings(deadline=None)
@given(st.lists(bleu_sums(), min_size=1, max_size=8))
@example([[0] * 10])
@example([[0, 7, *[0] * 8]])
@example([[7, 0, *[0] * 4, 7, 6, 5, 4]])
@example([[1, 1, 1, 0, 0, 0, 1, 0, 0, 0]])
@example([[2, 3, 1, 1, 0, 0, 2, 1, 0, 0]])
@example([[4, 4, 1, 0, 0, 0, 4, 3, 2, 1], [4, 400, 4, 3, 2, 1, 4, 3, 2, 1]])
def test_bleu_formula_is_sacrebleus(sums):
    metric = BLEU(force=True)
    theirs = [metric._compute_score_from_stats(list(row)).score for row in sums]
    ours = make(MetricSpec("bleu")).aggregate(np.array(sums, dtype=np.float64))
    same(ours.tolist(), theirs)


@pytest.mark.parametrize("name", CHRF_WORDS)
@settings(deadline=None)
@given(data=st.data())
def test_chrf_formula_is_sacrebleus(name, data):
    words = CHRF_WORDS[name]
    zeros = [0] * 3 * (6 + words)
    sums = [zeros, *data.draw(st.lists(chrf_sums(6 + words), min_size=1, max_size=8))]
    metric = CHRF(word_order=words)
    theirs = [metric._compute_score_from_stats(row).score for row in sums]
    ours = make(MetricSpec(name)).aggregate(np.array(sums, dtype=np.float64))
    same(ours.tolist(), theirs)


@pytest.mark.parametrize(("name", "columns"), [("bleu", 10), ("chrf", 18), ("chrf++", 24)])
def test_many_sums_keep_their_shape_and_are_not_changed(name, columns):
    sums = np.random.default_rng(1).integers(0, 9, size=(3, 5, columns)).astype(np.float64)
    before = sums.copy()
    metric = make(MetricSpec(name))
    scores = metric.aggregate(sums)
    assert scores.shape == (3, 5)
    assert scores[2, 4] == metric.aggregate(sums[2, 4])
    assert np.isfinite(scores).all()
    assert (sums == before).all()


TEXTS = st.lists(
    st.tuples(*[st.text(alphabet="ab .中ก\u2028\0'1,-\U0001f600A", max_size=12)] * 3),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("spec", ["bleu", "chrf", "chrf++"])
@settings(max_examples=60, deadline=None)
@given(rows=TEXTS)
@example(rows=[("", "", "")])
@example(rows=[("", "a", "b")])
@example(rows=[("a", "", "")])
@example(rows=[("a", "a", "b")])
@example(rows=[("", "a b c d e", "a"), ("a b c d e", "a b c d e", "")])
@example(rows=[("中", "中", "文"), ("", "", "")])
def test_scores_of_any_texts_are_sacrebleus(spec, rows):
    outputs, first, second = (list(column) for column in zip(*rows, strict=True))
    for references in ({"ref": first}, {"A": first, "B": second}):
        segments = Segments("eng_Latn", outputs, references)
        same(score(spec, segments)[0], sacrebleu_score(spec, segments)[0])


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_every_tokenizer_gives_sacrebleus_score(tokenizer):
    outputs = ["Hello, World! 日本語の文。", "한국어 문장입니다 .", "ภาษาไทย 中文句子", "", "x"]
    references = [
        "Hello, world! 日本語の文章。",
        "한국어 문장이다.",
        "ภาษาไทย 中文的句子",
        "a b",
        "x",
    ]
    segments = Segments("eng_Latn", outputs, {"ref": references})
    found = score(f"bleu:tokenize={tokenizer}", segments)
    value, signature = sacrebleu_score("bleu", segments, tokenizer)
    same(found[0], value)
    assert found[1] == signature


@pytest.mark.parametrize(
    ("references", "suffix"),
    [
        ({"ref": ["a"]}, ""),
        ({"A": ["a"]}, "|refs:A"),
        ({"A": ["a"], "B": ["b"]}, "|refs:A,B"),
        ({"ref": ["a"], "stud": ["b"]}, "|refs:ref,stud"),
    ],
)
@pytest.mark.parametrize("spec", ["bleu", "chrf", "chrf++"])
def test_signature_is_sacrebleus_and_names_the_references(spec, references, suffix):
    segments = Segments("eng_Latn", ["a"], references)
    plain = (
        BLEU_SIGNATURE.format(len(references), "13a")
        if spec == "bleu"
        else CHRF_SIGNATURE.format(len(references), "mixed", CHRF_WORDS[spec], "no")
    )
    assert score(spec, segments)[1] == plain + suffix
    assert sacrebleu_score(spec, segments)[1] == plain


@pytest.mark.parametrize(
    ("spec", "options", "part"),
    [
        ("bleu:lowercase=yes", {"lowercase": True}, "case:lc"),
        ("bleu:lowercase=no", {}, "case:mixed"),
        ("chrf:lowercase=yes", {"lowercase": True}, "case:lc"),
        ("chrf++:whitespace=yes", {"whitespace": True}, "space:yes"),
        ("chrf++:whitespace=no,lowercase=yes", {"lowercase": True}, "space:no"),
    ],
)
def test_options_are_sacrebleus(spec, options, part):
    segments = Segments("eng_Latn", ["A Cat sat DOWN there"], {"ref": ["a cat  sat down here"]})
    name = MetricSpec.parse(spec).name
    metric = (
        BLEU(force=True, **options)
        if name == "bleu"
        else CHRF(word_order=CHRF_WORDS[name], **options)
    )
    expected = metric.corpus_score(segments.hypotheses, list(segments.references.values())).score
    value, signature = score(spec, segments)
    same(value, expected)
    assert signature == str(metric.get_signature())
    assert part in signature.split("|")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bleu:tokenise=zh", "unknown option of bleu 'tokenise'. Did you mean 'tokenize'?"),
        ("bleu:whitespace=yes", "unknown option of bleu 'whitespace'. Known: lowercase, tokenize."),
        ("chrf:tokenize=zh", "unknown option of chrf 'tokenize'. Known: lowercase, whitespace."),
        ("chrf++:nw=2", "unknown option of chrf++ 'nw'. Known: lowercase, whitespace."),
        ("bleu:tokenize=ja", "unknown tokenizer of bleu 'ja'. Known: 13a, char, "),
        ("bleu:tokenize=flores200", "unknown tokenizer of bleu 'flores200'. Known: 13a, "),
        ("bleu:tokenize=ZH", "unknown tokenizer of bleu 'ZH'. Did you mean 'zh'"),
        ("bleu:lowercase=true", "metric bleu:lowercase=true: lowercase is yes or no, not 'true'"),
        ("chrf:whitespace=Yes", "metric chrf:whitespace=Yes: whitespace is yes or no, not 'Yes'"),
    ],
)
def test_unknown_options_and_values_are_user_errors(spec, message):
    with pytest.raises(UserError) as caught:
        make(MetricSpec.parse(spec))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("lang", "tokenizer"),
    [
        ("tha_Thai", "char"),
        ("lao_Laoo", "char"),
        ("khm_Khmr", "char"),
        ("mya_Mymr", "char"),
        ("shn_Mymr", "char"),
        ("bod_Tibt", "char"),
        ("dzo_Tibt", "char"),
        ("zho_Hans", "zh"),
        ("zho_Hant", "zh"),
        ("yue_Hant", "zh"),
        ("jpn_Jpan", "ja-mecab"),
        ("kor_Hang", "ko-mecab"),
        ("eng_Latn", "13a"),
        ("arb_Arab", "13a"),
        ("hin_Deva", "13a"),
        ("amh_Ethi", "13a"),
    ],
)
def test_the_script_of_the_target_decides_the_tokenizer(lang, tokenizer):
    assert tokenizer_for(lang) == tokenizer
    segments = Segments(lang, ["x"], {"ref": ["x"]})
    assert f"|tok:{sacrebleu_tok(tokenizer)}|" in score("bleu", segments)[1]


def sacrebleu_tok(name):
    return BLEU(tokenize=name).tokenizer_signature


def test_every_language_has_a_tokenizer_that_needs_no_download():
    assert {tokenizer_for(key) for key in languages.table()} <= set(TOKENIZERS)


def test_an_unknown_target_language_is_a_user_error():
    with pytest.raises(UserError, match="unknown language 'xxx_Latn'"):
        score("bleu", Segments("xxx_Latn", ["x"], {"ref": ["x"]}))


def test_a_thai_sentence_is_perfect_against_itself():
    line = "นี่คือประโยคภาษาไทย"
    assert score("bleu", Segments("tha_Thai", [line], {"ref": [line]}))[0] == pytest.approx(100)


# What is used of sacrebleu beyond its public interface.


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # Counted by hand: 5 and 6 words; "the", "cat", "on", "mat" and "the cat" match.
        (BLEU(force=True), [[5, 6, 4, 1, 0, 0, 5, 4, 3, 2], [0, 1, *[0] * 8]]),
        # Counted by hand: 12 and 17 letters, all 12 match; 5 and 6 words, 4 match.
        (CHRF(char_order=1, word_order=1), [[12, 17, 12, 5, 6, 4], [0, 1, 0, 0, 1, 0]]),
    ],
)
def test_contract_extract_corpus_statistics(metric, expected):
    outputs, references = ["the cat on a mat", ""], ["the cat sat on the mat", "x"]
    counts = metric._extract_corpus_statistics(outputs, [references])
    assert np.array(counts).tolist() == expected


def test_contract_get_signature_counts_references_after_extraction():
    metric = BLEU(force=True, tokenize="zh")
    metric._extract_corpus_statistics(["a"], [["a"], ["b"]])
    assert str(metric.get_signature()) == BLEU_SIGNATURE.format(2, "zh")


# Real files.


def mangled(lines):
    """Return lines with errors, as a system makes: words dropped, cut and swapped."""
    out = []
    for number, line in enumerate(lines):
        words = line.split(" ")
        kept = [word for place, word in enumerate(words) if (place + number) % 5]
        out.append(" ".join(kept)[: len(line) - number % 7] if number % 11 else "")
    return out


REAL = [
    ("wmt22", "deu_Latn", "eng_Latn", "13a"),
    ("wmt22", "eng_Latn", "zho_Hans", "zh"),
    ("wmt22", "eng_Latn", "jpn_Jpan", "ja-mecab"),
    ("flores200", "eng_Latn", "kor_Hang", "ko-mecab"),
    ("ntrex128", "eng_Latn", "tha_Thai", "char"),
    ("ntrex128", "eng_Latn", "fra_Latn", "13a"),
    ("flores200", "eng_Latn", "arb_Arab", "13a"),
]


@pytest.mark.data
@pytest.mark.parametrize(("family", "src", "tgt", "tokenizer"), REAL)
def test_corpus_scores_of_real_files_are_sacrebleus(data_dir, family, src, tgt, tokenizer):
    origin = sources.parallel(family, src, tgt, data_dir)
    references = {name: lines[:300] for name, lines in origin.references.items()}
    first = next(iter(references.values()))
    outputs = mangled(first)
    if family == "wmt22":
        codes = languages.codes("wmt22")
        pair = f"{codes[src]}-{codes[tgt]}"
        path = sorted((data_dir / "wmt22/txt/system-outputs").glob(f"*.{pair}.hyp.*"))[0]
        outputs = list(sources.read_lines(path)[:300])
    for names in {tuple(references)[:1], tuple(references)}:
        segments = Segments(tgt, outputs, {name: references[name] for name in names})
        for spec in ("bleu", "chrf", "chrf++"):
            ours, signature = score(spec, segments)
            theirs, plain = sacrebleu_score(spec, segments, tokenizer)
            assert ours == theirs
            assert 1 < ours < 100
            assert signature == (plain if names == ("ref",) else f"{plain}|refs:{','.join(names)}")


@pytest.mark.data
@pytest.mark.parametrize(
    ("pair", "src", "tgt", "spec", "metric"),
    [
        ("de-en", "deu_Latn", "eng_Latn", "bleu", "bleu-A"),
        ("en-zh", "eng_Latn", "zho_Hans", "bleu", "bleu-all"),
        # The organisers took the tokenizer `char` for Japanese.
        ("en-ja", "eng_Latn", "jpn_Jpan", "bleu:tokenize=char", "bleu-A"),
        ("en-liv", "eng_Latn", "liv_Latn", "chrf", "chrf-all"),
    ],
)
def test_scores_are_those_that_wmt22_published(data_dir, pair, src, tgt, spec, metric):
    """Source: wmt-conference/wmt22-news-systems, scores/automatic-scores.tsv."""
    root = data_dir / "wmt22"
    with (root / "scores/automatic-scores.tsv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file, delimiter="\t") if r["pair"] == pair]
    published = {r["system"]: float(r["score"]) for r in rows if r["metric"] == metric}
    path = sorted((root / "txt/system-outputs").glob(f"*.{pair}.hyp.*"))[0]
    system = path.name.split(".hyp.")[1].rpartition(".")[0]
    references = dict(sources.parallel("wmt22", src, tgt, data_dir).references)
    if metric.endswith("-A"):
        references = {"A": references["A"]}
    segments = Segments(tgt, sources.read_lines(path), references)
    assert score(spec, segments)[0] == pytest.approx(published[system], rel=0, abs=1e-6)
