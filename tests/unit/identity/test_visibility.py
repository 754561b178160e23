"""Whose jobs a subject may see: its own alone, unless its role reads everybody's."""

import pytest

from forestall.identity.credentials import Subject
from forestall.identity.roles import Role
from forestall.identity.visibility import may_see


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("principal", ["me", "other", "", None])
def test_a_bounded_view_shows_ones_own_and_nothing_unknown(
    role: Role, principal: str | None
) -> None:
    subject = Subject(tenant="t", principal="me", role=role, key_id="k")
    sees_all = role not in (Role.AGENT, Role.WORKER)
    assert may_see(subject, principal) is (sees_all or principal == "me")
