"""Exit codes and the wording of errors about unknown names."""

import pytest

from bayling_eval import errors, registry
from bayling_eval.errors import BaylingError, UserError, unknown

MANY = [f"name{number:02d}" for number in range(13)]


@pytest.mark.parametrize(
    ("kind", "code"),
    [("UserError", 2), ("IncompleteError", 3), ("IncomparableError", 4), ("RuntimeFault", 5)],
)
def test_exit_codes_are_those_of_the_command_line_contract(kind, code):
    fault = getattr(errors, kind)("what is wrong")
    assert isinstance(fault, BaylingError)
    assert (fault.exit_code, str(fault)) == (code, "what is wrong")


@pytest.mark.parametrize(
    ("name", "known", "hint", "message"),
    [
        ("blue", ["bleu", "chrf"], "", "unknown metric 'blue'. Did you mean 'bleu'?"),
        ("xyz", ["chrf", "bleu"], "", "unknown metric 'xyz'. Known: bleu, chrf."),
        ("xyz", [], "", "unknown metric 'xyz'."),
        ("xyz", MANY, "", "unknown metric 'xyz'."),
        ("xyz", MANY, "`ls` lists them", "unknown metric 'xyz'. `ls` lists them."),
        ("", ["bleu"], "", "unknown metric ''. Known: bleu."),
        ("nllb-20", ["NLLB-200"], "", "unknown metric 'nllb-20'. Did you mean 'NLLB-200'?"),
    ],
)
def test_unknown_suggests_or_lists(name, known, hint, message):
    fault = unknown("metric", name, known, hint)
    assert isinstance(fault, UserError)
    assert str(fault) == message


def test_unknown_lists_at_most_twelve_and_suggests_at_most_three():
    assert "Known: name00, " in str(unknown("metric", "zzz", MANY[:12]))
    assert str(unknown("metric", "name0", MANY)).count(" or ") == 2


def test_unknown_takes_a_generator_in_any_order():
    message = str(unknown("metric", "zzz", (name for name in ("b", "a"))))
    assert message.endswith("Known: a, b.")


def test_a_hostile_name_stays_on_one_line():
    message = str(unknown("metric", "a\nb\x1b[31m\udc80", ["bleu"]))
    assert message.isprintable()


def test_load_imports_what_the_table_says():
    assert registry.load("thing", "fault", {"fault": "bayling_eval.errors:UserError"}) is UserError


def test_load_suggests_for_an_unknown_name():
    with pytest.raises(UserError, match=r"unknown thing 'falt'\. Did you mean 'fault'\? More\."):
        registry.load("thing", "falt", {"fault": "bayling_eval.errors:UserError"}, "More")
