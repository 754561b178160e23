"""Shares: a key never takes all of its tenant's, a tenant never all; what is given back is free."""

import pytest

from forestall import limits
from forestall.identity.shares import Payer, Shares, ShareTakenError

A, B = Payer("one", "a"), Payer("one", "b")
C, D = Payer("two", "c"), Payer("three", "d")


def shares() -> Shares:
    return Shares("things", per_key=2, per_tenant=3, total=5)


def test_a_key_a_tenant_and_the_server_have_each_their_bound() -> None:
    things = shares()
    for payer in (A, A, B, C, C):
        things.take(payer)
    for payer, whose, most in ((A, "key", 2), (B, "tenant", 3), (D, "server", 5)):
        with pytest.raises(ShareTakenError, match=whose) as refused:
            things.take(payer)
        assert refused.value.details == {"limit": most}
        assert refused.value.retry_after_s == 1
    things.give(A)
    things.take(D)
    assert things.taken == 5


def test_a_refusal_takes_nothing_and_nothing_is_kept_of_who_gave_all_back() -> None:
    things = shares()
    with pytest.raises(ShareTakenError):
        things.take(A, 3)
    things.take(A, 2)
    things.give(A, 2)
    assert (things.taken, things._of_key, things._of_tenant) == (0, {}, {})


def test_no_share_of_the_server_is_all_of_it() -> None:
    """Each bound of a key is below that of its tenant, and that below the bound of all."""
    for bounds in (
        ("REQUESTS_PER_KEY_MAX", "REQUESTS_PER_TENANT_MAX", "REQUESTS_MAX"),
        (
            "LONG_BODIES_BYTES_PER_KEY_MAX",
            "LONG_BODIES_BYTES_PER_TENANT_MAX",
            "LONG_BODIES_BYTES_MAX",
        ),
        ("DECODES_WAITING_PER_KEY_MAX", "DECODES_WAITING_PER_TENANT_MAX", "DECODES_WAITING_MAX"),
        ("INSPECTIONS_PER_KEY_MAX", "INSPECTIONS_PER_TENANT_MAX", "INSPECTIONS_WAITING_MAX"),
        ("SCANS_WAITING_PER_KEY_MAX", "SCANS_WAITING_PER_TENANT_MAX", "SCANS_WAITING_MAX"),
        ("SCANS_PER_TENANT_MAX", "SCANS_AT_ONCE"),
        ("STREAMS_PER_KEY_MAX", "STREAMS_PER_TENANT_MAX", "STREAMS_MAX"),
        ("QUEUED_JOBS_PER_KEY_MAX", "QUEUED_JOBS_PER_TENANT_MAX"),
        ("QUEUE_LANES_PER_KEY_MAX", "QUEUE_LANES_PER_TENANT_MAX"),
        ("COST_PER_KEY_BURST", "COST_PER_TENANT_BURST"),
        ("COST_PER_KEY_SECOND", "COST_PER_TENANT_SECOND"),
        (
            "THROTTLE_COUNTERS_PER_PRINCIPAL_MAX",
            "THROTTLE_COUNTERS_PER_TENANT_MAX",
            "THROTTLE_COUNTERS_MAX",
        ),
        ("BLIND_RETRY_ENTRIES_PER_PRINCIPAL_MAX", "BLIND_RETRY_ENTRIES_MAX"),
        ("CONNECTIONS_PER_ADDRESS_MAX", "CONNECTIONS_MAX"),
    ):
        values = [getattr(limits, name) for name in bounds]
        assert values == sorted(set(values)), bounds
