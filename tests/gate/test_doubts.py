"""What little is known passes no gate: few segments, rates of nothing, other texts."""

import pytest
from compare_lab import good
from conftest import sentences
from gate_lab import gate, judged, missing, only, over_rows, row, to

from bayling_eval.errors import UserError
from bayling_eval.gate import readings, rules
from bayling_eval.gate.junit import write
from bayling_eval.records import Settings

PAIR = "eng_Latn-deu_Latn"
FEW = {"n": 3, "detectable_effect": None, "reason": "too few segments (3): no difference could ..."}


@pytest.mark.parametrize(
    "text",
    [
        gate("count"),
        gate("protected", languages="deu_Latn", limit=1, inconclusive="warn"),
        gate("health", metric="empty_rate", max_change=0.5),
    ],
)
def test_too_few_segments_pass_nothing(tmp_path, text):
    metric = "empty_rate" if "empty_rate" in text else "chrf++"
    found = over_rows(tmp_path, text, [row(metric=metric, delta=-12.0, **FEW)])
    assert only(found).outcome == "warn"
    assert "too few segments (3)" in found.rows[0].sentence


def test_too_few_segments_are_compared_all_the_same(tmp_path):
    assert only(over_rows(tmp_path, gate("coverage"), [row(**FEW)])).outcome == "pass"


def test_one_segment_of_real_systems_passes_no_gate(tmp_path, system, small_data):
    folder = small_data / "flores200" / "flores200_dataset"
    for path in (folder / "devtest").iterdir():
        path.write_text(path.read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")
    (folder / "metadata_devtest.tsv").unlink()
    one, two = system("one", {PAIR: ["nichts"]}), system("two", {PAIR: sentences("deu_Latn", 0, 1)})
    text = gate("count", inconclusive="fail") + gate("protected", languages="@all", limit=1)
    assert {one.outcome for one in judged(tmp_path, text, one, two).gates} == {"fail"}


@pytest.mark.parametrize(("units", "outcome"), [(20, "warn"), (400, "pass")])
def test_a_rate_of_nothing_in_few_segments_may_be_more_of_all(tmp_path, units, outcome):
    # 1 - (0.05 / 2)^(1/n): 16.8 % of 20 and 0.9 % of 400.
    text = gate("health", metric="empty_rate", max_change=0.02)
    rows = [row(metric="empty_rate", delta=0.0, stderr=0.0, n=units, clusters=None)]
    found = over_rows(tmp_path, text, rows)
    assert only(found).outcome == outcome
    reach = 1 - 0.025 ** (1 / units)
    assert (found.rows[0].ci_low, found.rows[0].ci_high) == pytest.approx((-reach, reach))


def test_documents_count_where_they_were_drawn(tmp_path):
    text = gate("health", metric="empty_rate", max_change=0.02)
    rows = [row(metric="empty_rate", delta=0.0, stderr=0.0, n=400, clusters=20)]
    assert only(over_rows(tmp_path, text, rows)).outcome == "warn"


@pytest.mark.parametrize("field", ["gen_kwargs", "model_args"])
def test_settings_are_compared_as_they_are_and_not_as_they_are_shown(field):
    class Side:
        def __init__(self, temperature):
            long = {f"option_{n}": n for n in range(40)}
            values = {field: {**long, "temperature": temperature}, "backend": "vllm"}
            self.cell = type("Cell", (), {"settings": Settings(**values)})

    assert readings._differ(field, Side(0.0), Side(0.0)) is None
    assert readings._differ(field, Side(0.0), Side(0.9)).startswith(field)


def test_what_was_not_compared_has_no_sample(tmp_path, system, small_data):
    one = system("one", good())
    path = small_data / "flores200" / "flores200_dataset" / "devtest" / "deu_Latn.devtest"
    path.write_text("\n".join([*sentences("deu_Latn")[:-1], "etwas anderes", ""]))
    two = system("two", {PAIR: sentences("deu_Latn")})
    found = judged(tmp_path, gate("coverage"), one, two)
    assert only(found).outcome == "fail"
    assert all(row.sample is None for row in found.rows)


def test_unknown_rows_are_said_where_they_decide(tmp_path):
    text = gate("count", inconclusive="fail")
    found = over_rows(tmp_path, text, [missing(), to("fra_Latn")])
    assert only(found).outcome == "fail"
    assert only(found).observed == "0, 1 unknown"


def test_what_cannot_be_judged_is_an_error_in_junit(tmp_path, system):
    one = system("one", {PAIR: sentences("deu_Latn")})
    two = system("two", {"deu_Latn-eng_Latn": sentences("eng_Latn")})
    found = judged(tmp_path, gate("count"), one, two)
    assert found.verdict == "incomparable"
    text = write(found, {}).decode()
    assert 'errors="1"' in text
    assert '<error type="incomparable"' in text


def test_a_system_beside_itself_is_noted(tmp_path, system):
    one = system("one", good())
    assert (
        f"both are {one.label}: no difference can show"
        in judged(tmp_path, gate("count"), one, one).notes
    )


@pytest.mark.parametrize(
    "text",
    [
        gate("protected", languages="deu_Latn", limit=True),
        gate("count", max=True),
        gate("protected", languages="deu_Latn", limit="1.5"),
        gate("count")
        + '[[waivers]]\ngate = "count"\nlanguage = "deu_Latn"\nreason = "r"\nby = "b"\n'
        + "expires = 4102444800\n",
    ],
)
def test_a_value_of_another_type_is_refused(tmp_path, text):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"rules\.toml:\d+: "):
        rules.load(path)


def test_where_nothing_varies_no_difference_is_said_to_be_found(tmp_path):
    text = gate("health", metric="empty_rate", max_change=0.02)
    rates = {"candidate_value": 0.0, "baseline_value": 0.0, "delta": 0.0, "stderr": 0.0, "n": 16}
    found = over_rows(tmp_path, text, [row(metric="empty_rate", **rates)])
    assert only(found).detectable_effect is None
    assert found.rows[0].outcome == "warn"
    assert "would be found" not in found.rows[0].sentence
