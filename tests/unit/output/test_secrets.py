"""Each kind of secret: a drawn sample is found, what only looks like one is not."""

import pytest

from forestall.output.detectors import DETECTORS
from forestall.output.findings import Detector, Finding
from forestall.output.scan import scan
from tests.unit.output.samples import SECRETS, drawn, dull, short

SECRET = DETECTORS["secret"]
SEEDS = range(4)


def _found(text: str) -> tuple[Finding, ...]:
    result = scan(text, detectors=(SECRET,))
    assert result.complete
    return result.findings


def test_every_kind_has_a_sample() -> None:
    assert {kind.name for kind in SECRET.kinds} == set(SECRETS)
    assert len(SECRETS) >= 120


@pytest.mark.parametrize("kind", SECRETS)
def test_a_drawn_sample_is_found(kind: str) -> None:
    for seed in SEEDS:
        text = drawn(SECRETS[kind], seed)
        alone = Detector(name="secret", kinds=tuple(r for r in SECRET.kinds if r.name == kind))
        assert [each.kind for each in scan(text, detectors=(alone,)).findings] == [kind], text
        assert _found(text), text


@pytest.mark.parametrize("kind", SECRETS)
def test_a_placeholder_is_not(kind: str) -> None:
    assert not _found(dull(SECRETS[kind]))


@pytest.mark.parametrize("kind", SECRETS)
def test_a_stump_of_one_is_not(kind: str) -> None:
    assert not _found(short(SECRETS[kind], 2))
