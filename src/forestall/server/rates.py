"""Rate limits: requests and work of a key and a tenant, bad keys of an address.

Pure arithmetic: every function is given the instant. A token bucket is one number: the instant at
which it will be full again (the "theoretical arrival time" of ATM's generic cell rate algorithm).
Each request moves that instant on by one interval. A request that would move it beyond now by more
than a whole burst is refused, and moves nothing. A clock that goes back makes a bucket look
emptier, so it never adds a token.
"""

from ipaddress import IPv6Address, ip_address

from forestall.errors import ForestallError
from forestall.identity.shares import Payer
from forestall.limits import (
    AUTH_FAILURES_BURST,
    AUTH_FAILURES_PER_SECOND,
    COST_DEBT_SECONDS_MAX,
    COST_PER_KEY_BURST,
    COST_PER_KEY_SECOND,
    COST_PER_TENANT_BURST,
    COST_PER_TENANT_SECOND,
    COST_SECONDS,
    IPV6_NETWORK_BITS,
    RATE_BUCKETS_MAX,
    RATE_PER_SECOND_MAX,
)

SECOND_NS = 1_000_000_000
_SWEEP_EVERY_NS = SECOND_NS  # between two sweeps of a full table: a client can cause sweeps
Headers = tuple[tuple[bytes, bytes], ...]

_TOO_MANY = "rate limited: too many requests; slow down and try again"
_COSTS_TOO_MUCH = "rate limited: this needs more bytes or work than is left; slow down, send less"


class RateLimitedError(ForestallError):
    """Too many requests of this key, of this tenant, or with bad keys from this address.

    Nothing was read, decided or stored; ask again after `Retry-After` seconds.
    """

    code, http_status = "rate_limited", 429

    def __init__(
        self, scope: str, retry_after_s: int, headers: Headers = (), text: str = _TOO_MANY
    ) -> None:
        super().__init__(text, details={"scope": scope}, retry_after_s=retry_after_s)
        self.scope = scope
        self.headers = headers


class Buckets:
    """Token buckets by name, all of one rate and burst; at most `limit` of them. Instants and
    intervals are in nanoseconds of a monotonic clock.

    `interval` is the time in which one token comes back, `depth` that in which all do. A bucket
    that is not full again within `low` has less than a fifth of its tokens.
    """

    __slots__ = ("_full_at", "_swept_at", "burst", "depth", "interval", "limit", "low")

    def __init__(self, per_second: int, burst: int = 0, *, limit: int = RATE_BUCKETS_MAX) -> None:
        if not 1 <= per_second <= RATE_PER_SECOND_MAX:
            raise ValueError(f"a rate is 1 to {RATE_PER_SECOND_MAX} a second")
        self.burst = burst or per_second
        self.interval = -(-SECOND_NS // per_second)  # rounded up: never more than the rate
        self.depth = self.burst * self.interval
        self.low = self.depth - self.depth // 5
        self.limit = limit
        self._full_at: dict[str, int] = {}
        self._swept_at = -_SWEEP_EVERY_NS

    def __len__(self) -> int:
        return len(self._full_at)

    def full_at_after(self, name: str, now: int, tokens: int = 1) -> int:
        """The instant at which a bucket would be full again if tokens were taken now. Takes
        none."""
        full_at = self._full_at.get(name, 0)
        return (full_at if full_at > now else now) + self.interval * tokens

    def put(self, name: str, full_at: int, now: int) -> bool:
        """Take the tokens: the bucket will be full again at the instant that `full_at_after`
        computed. False: the table is full, and the name is new."""
        if name not in self._full_at and len(self._full_at) >= self.limit:
            self._make_room(now)
            if len(self._full_at) >= self.limit:
                return False
        self._full_at[name] = full_at
        return True

    def take(self, name: str, now: int) -> bool:
        """Take one token. False: there is none, or no room for a new name."""
        full_at = self.full_at_after(name, now)
        return full_at - now <= self.depth and self.put(name, full_at, now)

    def left(self, full_at: int, now: int) -> int:
        """The number of whole tokens in a bucket that will be full again at an instant."""
        return max(0, self.depth - max(0, full_at - now)) // self.interval

    def _make_room(self, now: int) -> None:
        """Forget full buckets, which equal new ones. No bucket in use is forgotten."""
        if now - self._swept_at >= _SWEEP_EVERY_NS:
            self._swept_at = now
            self._full_at = {name: at for name, at in self._full_at.items() if at > now}


class Rates:
    """The rate limits of HTTP requests. `per_key` and `per_tenant` are requests a second; None: no
    limit."""

    __slots__ = ("_addresses", "_cost", "_keys", "_policy", "_tenants")

    def __init__(self, *, per_key: int | None = None, per_tenant: int | None = None) -> None:
        self._keys = Buckets(per_key) if per_key is not None else None
        self._tenants = Buckets(per_tenant) if per_tenant is not None else None
        self._addresses = Buckets(AUTH_FAILURES_PER_SECOND, AUTH_FAILURES_BURST)
        self._cost = (
            ("key", Buckets(COST_PER_KEY_SECOND, COST_PER_KEY_BURST)),
            ("tenant", Buckets(COST_PER_TENANT_SECOND, COST_PER_TENANT_BURST)),
        )
        policies = [
            f'"{scope}";q={buckets.burst};w=1'
            for scope, buckets in (("key", self._keys), ("tenant", self._tenants))
            if buckets is not None
        ]
        self._policy = (b"ratelimit-policy", ", ".join(policies).encode())

    def admit(self, key_id: str, tenant: str, now: int) -> Headers:
        """Count one authenticated request. Returns the headers of the limit when less than a fifth
        of it is left, else none. A refused request is not counted. Raises RateLimitedError.
        """
        keys, tenants = self._keys, self._tenants
        key_full_at = tenant_full_at = now
        if keys is not None:
            key_full_at = keys.full_at_after(key_id, now)
            if key_full_at - now > keys.depth:
                raise self._refusal("key", keys, key_full_at - keys.interval, now)
        if tenants is not None:
            tenant_full_at = tenants.full_at_after(tenant, now)
            if tenant_full_at - now > tenants.depth:
                raise self._refusal("tenant", tenants, tenant_full_at - tenants.interval, now)
            if not tenants.put(tenant, tenant_full_at, now):
                raise self._refusal("tenant", tenants, now + tenants.depth, now)
        if keys is not None:
            if not keys.put(key_id, key_full_at, now):
                raise self._refusal("key", keys, now + keys.depth, now)
            if key_full_at - now > keys.low:
                return self._headers("key", keys, key_full_at, now)
        if tenants is not None and tenant_full_at - now > tenants.low:
            return self._headers("tenant", tenants, tenant_full_at, now)
        return ()

    def charge(self, payer: Payer, units: int, now: int) -> None:
        """Count what a request will cost, in cost units. A refused request costs nothing. Raises
        RateLimitedError."""
        charges = []
        for (scope, buckets), name in zip(self._cost, (payer.key_id, payer.tenant), strict=True):
            full_at = buckets.full_at_after(name, now, units)
            wait = full_at - now - buckets.depth
            if wait > 0:
                raise RateLimitedError(scope, _seconds(wait), text=_COSTS_TOO_MUCH)
            charges.append((scope, buckets, name, full_at))
        for scope, buckets, name, full_at in charges:
            if not buckets.put(name, full_at, now):
                raise RateLimitedError(scope, 1, text=_COSTS_TOO_MUCH)

    def charge_time(self, payer: Payer, seconds: float, now: int) -> None:
        """Count what a request has cost in processor time. The key and its tenant may then owe
        units; later requests that cost something are refused until the debt is paid."""
        (_, keys), (_, tenants) = self._cost
        # A key owes COST_DEBT_SECONDS_MAX at most, and its tenant owes no more for it: one key
        # alone may not use up what all keys of its tenant share.
        full_at_most = now + keys.depth + COST_DEBT_SECONDS_MAX * SECOND_NS
        left = (full_at_most - keys.full_at_after(payer.key_id, now, 0)) // keys.interval
        units = min(int(seconds / COST_SECONDS), max(0, left))
        for buckets, name in ((keys, payer.key_id), (tenants, payer.tenant)):
            buckets.put(name, buckets.full_at_after(name, now, units), now)

    def count_bad_key(self, address: str, now: int) -> None:
        """Count one request with a bad key. Raises RateLimitedError past the bound.

        The bound does not limit valid keys from the same address: behind a proxy all clients share
        one address.
        """
        if not self._addresses.take(network_of(address), now):
            raise RateLimitedError("address", 1)

    def _refusal(self, scope: str, buckets: Buckets, full_at: int, now: int) -> RateLimitedError:
        wait = max(1, full_at + buckets.interval - buckets.depth - now)
        return RateLimitedError(scope, _seconds(wait), self._headers(scope, buckets, full_at, now))

    def _headers(self, scope: str, buckets: Buckets, full_at: int, now: int) -> Headers:
        """The headers of a limit: tokens left, and seconds until all are back
        (draft-ietf-httpapi-ratelimit-headers-10)."""
        full_in_s = _seconds(max(0, full_at - now))
        state = f'"{scope}";r={buckets.left(full_at, now)};t={full_in_s}'
        return (self._policy, (b"ratelimit", state.encode()))


def _seconds(duration_ns: int) -> int:
    """A duration in whole seconds, rounded up."""
    return -(-duration_ns // SECOND_NS)


def network_of(address: str) -> str:
    """The name under which a client is counted: its IPv4 address, or its IPv6 network, since a
    client may take any number of addresses in it. A text that is no address is its own name."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> (128 - IPV6_NETWORK_BITS):x}/{IPV6_NETWORK_BITS}"
