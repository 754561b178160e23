"""The recipe for workers in other languages agrees with the worker library, job for job."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.fake_plane import KEY, OTHER_KEY, WORKER, delivered, key_text, now_us
from tests.unit.client.test_worker import FORGED

EXAMPLE = Path(__file__).parents[3] / "examples" / "verify_ticket.py"


def verify(job: dict[str, Any], tenant: str = "default") -> None:
    """As the example does."""
    spec = importlib.util.spec_from_file_location("verify_ticket", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.verify(job, key_text(KEY), WORKER, tenant, now_us())


def test_a_good_job() -> None:
    verify(delivered())


@pytest.mark.parametrize("how", FORGED)
def test_forged_jobs(how: str) -> None:
    forged = FORGED[how]
    if how == "job hash alone":
        pytest.skip("the recipe does not look at the delivered hash at all")
    given = delivered(
        key=forged.get("key", KEY), says=forged.get("ticket"), **forged.get("changed", {})
    )
    with pytest.raises(Exception):  # noqa: B017 - a recipe: any exception means no
        verify(given)


def test_late_and_foreign() -> None:
    with pytest.raises(ValueError, match="expired"):
        verify(delivered(says={"expires_at_us": now_us() - 1}))
    with pytest.raises(ValueError, match="tenant"):
        verify(delivered(), tenant="acme")
    with pytest.raises(Exception):  # noqa: B017
        verify(delivered(key=OTHER_KEY))
