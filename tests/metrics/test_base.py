"""How a metric is written on the command line, and the registry of metrics."""

import pytest

from bayling_eval import metrics
from bayling_eval.errors import UserError
from bayling_eval.metrics import MetricSpec


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("bleu", "bleu", ()),
        ("chrf++", "chrf++", ()),
        ("bleu:tokenize=char", "bleu", (("tokenize", "char"),)),
        (
            "bleu:tokenize=zh,lowercase=yes",
            "bleu",
            (("tokenize", "zh"), ("lowercase", "yes")),
        ),
        ("bleu:tokenize=a=b", "bleu", (("tokenize", "a=b"),)),
        ("bleu:tokenize=a:b", "bleu", (("tokenize", "a:b"),)),
    ],
)
def test_parse_and_write_again(text, name, options):
    spec = MetricSpec.parse(text)
    assert (spec.name, spec.options) == (name, options)
    assert str(spec) == text
    assert MetricSpec.parse(str(spec)) == spec


@pytest.mark.parametrize("text", ["bleu:", "bleu:,", "bleu:,,"])
def test_no_options_after_the_colon_are_no_options(text):
    assert MetricSpec.parse(text) == MetricSpec("bleu")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bleu:char", "'char'"),
        ("bleu:tokenize=", "'tokenize='"),
        ("bleu:=char", "'=char'"),
        ("bleu:=", "'='"),
        ("bleu:tokenize=char,zh", "'zh'"),
    ],
)
def test_a_part_that_is_no_option_is_named(text, part):
    with pytest.raises(UserError) as caught:
        MetricSpec.parse(text)
    assert str(caught.value).startswith(f"metric {text!r}: {part} is not option=value")


@pytest.mark.parametrize(
    "text", ["bleu:tokenize=char,tokenize=zh", "bleu:tokenize=zh,lowercase=yes,tokenize=zh"]
)
def test_an_option_given_twice_is_refused(text):
    with pytest.raises(UserError, match="an option stands there twice"):
        MetricSpec.parse(text)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_every_metric_is_made_and_knows_its_name(name):
    metric = metrics.make(MetricSpec(name))
    assert metric.name == name
    assert metric.higher_is_better in {True, False, None}


def test_the_default_metrics_judge_texts_and_the_headline_is_one_of_them():
    assert metrics.HEADLINE in metrics.DEFAULT
    judged = {name: metrics.make(MetricSpec(name)).of_texts for name in metrics.METRICS}
    assert all(judged[name] for name in metrics.DEFAULT)
    accuracies = {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"}
    others = {"acc_chance_corrected", "bits_per_byte"}
    assert {name for name, texts in judged.items() if not texts} == accuracies | others


# What a stored signature says of a metric


def fits(spec: str, tgt_lang: str | None, signature: str | None) -> bool:
    return metrics.fits(metrics.make(MetricSpec.parse(spec)), tgt_lang, signature)


@pytest.mark.parametrize(
    ("spec", "tgt_lang"),
    [("bleu", "deu_Latn"), ("chrf++", "zho_Hans"), ("acc", None), ("exact_match:filter=a", None)],
)
def test_a_signature_fits_its_metric_by_whatever_version(spec, tgt_lang):
    signature = metrics.make(MetricSpec.parse(spec)).signature(tgt_lang or "", ["ref"])
    assert fits(spec, tgt_lang, signature)
    older = signature.replace("version:", "version:0.0.")
    assert older != signature
    assert fits(spec, tgt_lang, older)


@pytest.mark.parametrize(
    ("spec", "tgt_lang", "signature"),
    [
        ("acc", "deu_Latn", "agg:mean|filter:none|norm:none|version:x"),
        ("acc", None, "agg:mean|filter:none|norm:char|version:x"),
        ("acc_norm", None, "agg:mean|filter:none|norm:none|version:x"),
        ("acc:filter=strict", None, "agg:mean|filter:none|norm:none|version:x"),
        ("acc", None, None),
        ("bleu", None, "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:x"),
        ("bleu", "zho_Hans", "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:x"),
    ],
)
def test_a_signature_of_something_else_does_not_fit(spec, tgt_lang, signature):
    assert not fits(spec, tgt_lang, signature)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blue", "unknown metric 'blue'. Did you mean 'bleu'?"),
        ("", f"unknown metric ''. Known: {', '.join(sorted(metrics.METRICS))}."),
        (" bleu", "unknown metric ' bleu'. Did you mean 'bleu'?"),
        ("BLEU:x=y", "unknown metric 'BLEU'. Did you mean 'bleu'? Known: "),
    ],
)
def test_an_unknown_metric_is_named_with_suggestions(name, message):
    with pytest.raises(UserError) as caught:
        metrics.make(MetricSpec.parse(name))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_an_unknown_option_is_refused_by_every_metric(name):
    with pytest.raises(UserError, match=r"tokenise|has no options"):
        metrics.make(MetricSpec.parse(f"{name}:tokenise=char"))
