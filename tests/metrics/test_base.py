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


def test_the_headline_is_a_default_metric():
    assert metrics.HEADLINE in metrics.DEFAULT


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blue", "unknown metric 'blue'. Did you mean 'bleu'?"),
        ("", "unknown metric ''. Known: bleu, chrf, chrf++, empty_rate, length_ratio."),
        (" bleu", "unknown metric ' bleu'. Did you mean 'bleu'?"),
        ("BLEU:x=y", "unknown metric 'BLEU'. Known: "),
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
