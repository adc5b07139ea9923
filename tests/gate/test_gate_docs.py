"""``docs/gates.md`` is held against the code: every key, its default and what it means."""

import re
from pathlib import Path

import pytest
from gate_lab import rules_of

from bayling_eval import method
from bayling_eval.gate import outcomes, rules
from bayling_eval.gate.readings import READINGS
from bayling_eval.method import Method

PAGE = (Path(__file__).parent.parent.parent / "docs" / "gates.md").read_text(encoding="utf-8")
COMMON = ["id", "family", "side", "tasks", "languages"]
RULES = {
    "count": rules.CountGate,
    "protected": rules.ProtectedGate,
    "macro": rules.MacroGate,
    "health": rules.HealthGate,
    "coverage": rules.CoverageGate,
    "floor": rules.FloorGate,
    "same": rules.SameGate,
}
TABLES = [
    ("\n## Keys of the file", rules.Rules, rules),
    ("\n## Keys of `[compare]`", Method, method),
    ("\n## Keys of `[[waivers]]`", rules.Waiver, rules),
    *((f"\n### `{name}`", model, rules) for name, model in RULES.items()),
]


def table(heading: str) -> list[tuple[str, ...]]:
    """Return key, default and meaning of each row of a section."""
    section = re.split(r"\n##+ ", PAGE.split(heading, 1)[1])[0]
    return re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \| (.*) \|$", section, re.MULTILINE)


def default(field) -> str:
    if field.is_required():
        return "required"
    value = (
        field.default[0] if isinstance(field.default, tuple) and field.default else field.default
    )
    if value in (None, (), {}):
        return "none"
    return "no" if value is False else f"`{value}`"


@pytest.mark.parametrize(("heading", "model", "module"), TABLES, ids=lambda p: str(p)[:40])
def test_every_key_is_documented(heading, model, module):
    rows, fields = table(heading), model.model_fields
    required = [key for key in COMMON if key in fields and fields[key].is_required()]
    own = [key for key in fields if key not in COMMON or (key in required and key != "id")]
    # A rule that needs languages says so in its own table.
    assert sorted(key for key, _, _ in rows) == sorted(own)
    source = Path(module.__file__).read_text(encoding="utf-8")
    for key, written, meaning in rows:
        assert written == default(fields[key]), key
        assert f'"""{meaning}"""' in source, key


def test_what_every_gate_has_is_documented():
    rows = table("\n## Keys of `[[gates]]`")
    fields = rules.CountGate.model_fields
    assert [key for key, _, _ in rows] == COMMON
    source = Path(rules.__file__).read_text(encoding="utf-8")
    for key, written, meaning in rows:
        assert written == default(fields[key]), key
        assert f'"""{meaning}"""' in source, key


def test_every_rule_has_a_section_and_something_that_reads_it():
    assert re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE) == list(RULES) == list(READINGS)


def test_the_examples_are_rules(tmp_path):
    examples = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    used = set()
    for text in examples:
        found = rules_of(tmp_path, text)
        found.check_directions()
        used |= {gate.rule for gate in found.gates}
    assert used == set(RULES)


def test_outcomes_and_verdicts_are_explained():
    for kind in (outcomes.RowOutcome, outcomes.GateVerdict):
        for word in kind.__args__:
            assert f"`{word}`" in PAGE, word
