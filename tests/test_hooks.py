"""What task YAML calls: documents in, corpus scores out, the same as ours."""

import pytest
from conftest import SEGMENTS, sentences, spoil
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from bayling_eval import hooks
from bayling_eval.errors import UserError


@pytest.fixture(autouse=True)
def _data(small_data, monkeypatch):
    monkeypatch.setenv("BAYLING_DATA", str(small_data))


def docs(src: str = "eng_Latn", tgt: str = "zho_Hans"):
    return hooks.dataset(family="flores200", src_lang=src, tgt_lang=tgt, version=1.0)["test"]


def test_documents_have_what_the_templates_name():
    found = docs()
    assert len(found) == SEGMENTS
    assert found[3] == {
        "id": 3,
        "source": sentences("eng_Latn")[3],
        "reference": sentences("zho_Hans")[3],
        "references": [sentences("zho_Hans")[3]],
        "src_name": "English",
        "tgt_name": "Chinese (Simplified)",
        "tgt_lang": "zho_Hans",
        "document": "https://example.org/1",
    }


def test_benchmark_spellings_are_understood():
    assert docs("eng_Latn", "deu_Latn")[0]["tgt_name"] == "German"


def test_a_generic_task_without_a_pair_says_how_to_name_one():
    with pytest.raises(UserError, match=r"flores200_pair needs a pair: --metadata"):
        hooks.dataset(family="flores200")


def test_an_answer_is_trimmed_and_its_line_feeds_are_spaces():
    doc = docs()[0]
    outcome = hooks.process_translation(doc, [" a\nb\u2028c \n"])
    assert outcome["bleu"] == ("zho_Hans", (doc["reference"],), "a b\u2028c")
    assert set(outcome) == {"bleu", "chrf", "chrf++"}


def test_corpus_scores_use_the_targets_tokenizer():
    hyps = spoil(sentences("zho_Hans"), 3, "别的")
    outcomes = [
        hooks.process_translation(doc, [hyp])["bleu"] for doc, hyp in zip(docs(), hyps, strict=True)
    ]
    refs = [sentences("zho_Hans")]
    assert hooks.corpus_bleu(outcomes) == pytest.approx(
        BLEU(tokenize="zh").corpus_score(hyps, refs).score
    )
    assert hooks.corpus_chrf(outcomes) == pytest.approx(CHRF().corpus_score(hyps, refs).score)
    assert hooks.corpus_chrfpp(outcomes) == pytest.approx(
        CHRF(word_order=2).corpus_score(hyps, refs).score
    )
