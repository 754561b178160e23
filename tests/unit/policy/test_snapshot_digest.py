"""The digest of a snapshot covers the data of the detectors that its rules name, no other."""

import pytest

from forestall import data_tables
from forestall.output import detectors
from forestall.policy.compile import compile_policy
from forestall.policy.language.policy_file import load_policy

PLAIN = "rules: [{id: a, decision: allow, match: {topics: ['job.a']}}]\n"
INPUT = PLAIN + "input_rules: [{id: i, decision: deny, match: {detectors: [prompt_injection]}}]\n"
OUTPUT = PLAIN + "output_rules: [{id: o, decision: redact, match: {detectors: [secret]}}]\n"
OTHER = PLAIN + "input_rules: [{id: i, decision: deny, match: {detectors: [path_traversal]}}]\n"


def _digest(text: str) -> str:
    return compile_policy(load_policy(text)).digest


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("prompt_injection/role_play.yaml", {INPUT}),
        ("secret/vendors.yaml", {OUTPUT}),
        ("personal_data/national_numbers.yaml", set()),
        ("payment_card_ranges.yaml", set()),
    ],
)
def test_it_changes_with_a_file_of_a_named_detector(
    file: str, changed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {text: _digest(text) for text in (PLAIN, INPUT, OUTPUT, OTHER)}
    read = data_tables.package_bytes

    def edited(package: str, name: str) -> bytes:
        return read(package, name) + (b"# one more line\n" if name.endswith(file) else b"")

    monkeypatch.setattr(detectors, "package_bytes", edited)
    detectors.data_digest.cache_clear()
    after = {text: _digest(text) for text in before}
    detectors.data_digest.cache_clear()
    assert {text for text in before if before[text] != after[text]} == changed


def test_tables_that_validators_look_up_are_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    before = detectors.data_digest("personal_data")
    read = data_tables.package_bytes
    monkeypatch.setattr(detectors, "package_bytes", lambda p, name: read(p, name) + b"#")
    detectors.data_digest.cache_clear()
    after = detectors.data_digest("personal_data")
    detectors.data_digest.cache_clear()
    assert before != after
    assert {"payment_card_ranges.yaml", "numbering_plans.yaml"} == {
        file for files in detectors.LOOKED_UP.values() for file in files
    }
