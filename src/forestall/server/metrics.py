"""Every metric: its name, and which events it counts. Label values are bounded and hold no secret.

The `cordum_*` names are those of the guide of twelve controls, present from the first scrape.
"""

from collections.abc import Iterable, Sequence, Sized

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from forestall.limits import METRIC_TOPICS_MAX
from forestall.policy.cache import DecisionCache
from forestall.policy.compile import Snapshot
from forestall.policy.globs import Matcher, compile_globs

OTHER_TOPIC = "other"
_WAIT_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0, 3600.0)
# A worker chooses its own failure codes, so they are unbounded and no label values.
OUR_CODES = frozenset(
    {
        "agent_expired",
        "agent_revoked",
        "agent_right_missing",
        "agent_suspended",
        "approval_expired",
        "approval_rejected",
        "approver_revoked",
        "cancelled",
        "deadline_exceeded",
        "job_changed",
        "lease_expired",
        "max_retries_exceeded",
        "max_runtime_exceeded",
        "output_quarantined",
        "policy_denied",
        "submitter_expired",
        "submitter_revoked",
        "tenant_suspended",
        "throttled_too_long",
    }
)
_SIZE_BUCKETS = (256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576)
_LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """One registry for one process; implements the plane's Telemetry port."""

    def __init__(self) -> None:
        # A creation time for each series would double their number, and no alert needs it.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in the library
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        # Control 6 of the guide. There is no open fail mode, so it stays 0.
        self._counter("cordum_input_fail_open", "Jobs let through while no decision could be had")
        self._declare_output()
        self._decisions = self._counter(
            "forestall_decisions", "Decisions of the gates", "stage", "decision", "code", "topic"
        )
        self._unavailable = self._counter(
            "forestall_policy_unavailable",
            "Requests refused because no decision could be had",
            "stage",
        )
        self._commit_failures = self._counter(
            "forestall_commit_failures",
            "Changes that the store could not make durable; nothing of them was kept",
            "code",
        )
        for stage in ("submit", "dispatch", "check"):
            self._unavailable.labels(stage)
        self._declare_work()
        self._requests = self._counter(
            "forestall_http_requests", "HTTP requests answered", "method", "route", "status"
        )
        self._seconds = self._histogram(
            "forestall_http_request_seconds",
            "Time from the first byte of a request to the end of its answer",
            _LATENCY_BUCKETS,
            "route",
        )
        self._declare_webhooks()
        self._declare_limited()
        self._declare_policy()
        self._topics = _TopicNames()
        self._children: dict[tuple[str, ...], Counter] = {}
        self._event_children: dict[tuple[str, str], Counter] = {}
        self._request_children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def _declare_policy(self) -> None:
        self._loaded_at = self._gauge(
            "forestall_policy_loaded_timestamp_seconds",
            "When the snapshot in force came into force",
        )
        self._rules = self._gauge("forestall_policy_rules", "Rules in the snapshot in force")
        self._without_defaults = self._gauge(
            "forestall_policy_without_default_derivations",
            "Files of the snapshot in force for whose rules no default derivation applies",
        )
        self._refused = self._counter("forestall_policy_refused", "Changed policies not taken")
        self._policy_waiting = self._gauge(
            "forestall_policy_waiting",
            "1 while a changed policy file is not taken up yet, because it may be half written",
        )
        unverified = self._gauge(
            "forestall_policy_unverified",
            "1 while the policy in force carries no verified signature",
        )
        unverified.set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def _declare_limited(self) -> None:
        self._limited = self._counter(
            "forestall_rate_limited",
            "Requests refused because a key, a tenant or an address made too many",
            "scope",
        )
        for scope in ("key", "tenant", "address"):
            self._limited.labels(scope)

    def _declare_webhooks(self) -> None:
        self._webhook_messages = self._counter(
            "forestall_webhook_messages",
            "Messages to webhooks: delivered, tried and failed, or given up",
            "outcome",
        )
        for outcome in ("delivered", "failed", "dead_lettered"):
            self._webhook_messages.labels(outcome)

    def _declare_output(self) -> None:
        """Control 7 of the guide; the names are its own."""
        self._output_counts = {
            name: self._counter(f"cordum_output_policy_{name}", text)
            for name, text in (
                ("checked", "Results checked before release"),
                ("quarantined", "Results withheld by the output check"),
                ("redacted", "Results released with parts removed"),
                ("skipped", "Results released unchecked; stays 0"),
            )
        }
        self._scan_seconds = self._histogram(
            "forestall_output_check_seconds",
            "Time from the answer of a worker to its verdict",
            _LATENCY_BUCKETS,
        )
        self._scan_bytes = self._histogram(
            "forestall_output_check_bytes", "Size of the results that were checked", _SIZE_BUCKETS
        )

    def _declare_work(self) -> None:
        self._events = self._counter(
            "forestall_job_events", "What happened to jobs after their submit", "event", "code"
        )
        self._refusals = self._counter(
            "forestall_refused",
            "Answers of workers that were refused, and blind retries",
            "what",
            "code",
        )
        self._queue_wait = self._histogram(
            "forestall_queue_wait_seconds", "Time from ready to run to dispatched", _WAIT_BUCKETS
        )

        self._withdrawals = Histogram(
            "forestall_agent_withdrawal_seconds",
            "Time from the end of an agent to the cancellation of each job that ran for it",
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )

    def watch(
        self,
        cache: DecisionCache,
        queue: Sized,
        leases: Sized,
        workers: Iterable[object],
        streams: Sized,
    ) -> None:
        """Report queue, leases, workers, streams and cache at each scrape."""
        self.registry.register(_CacheCollector(cache))
        self.registry.register(_WorkCollector(queue, leases, workers, streams))

    # -- Telemetry of the plane --

    def decided(self, stage: str, decision: str, topic: str, code: str) -> None:
        """See `Telemetry.decided`."""
        key = (stage, decision, code, self._topics.name(topic))
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._decisions.labels(*key)
        child.inc()

    def moved(self, event: str, topic: str, code: str) -> None:
        """See `Telemetry.moved`."""
        del topic
        key = (event, code if code in OUR_CODES else "other" if code else "")
        child = self._event_children.get(key)
        if child is None:
            child = self._event_children[key] = self._events.labels(*key)
        child.inc()

    def output_checked(self, verdict: str, seconds: float, size_bytes: int) -> None:
        """See `Telemetry.output_checked`."""
        self._output_counts["checked"].inc()
        if verdict == "quarantine":
            self._output_counts["quarantined"].inc()
        elif verdict == "redact":
            self._output_counts["redacted"].inc()
        self._scan_seconds.observe(seconds)
        self._scan_bytes.observe(size_bytes)

    def refused(self, what: str, code: str) -> None:
        """See `Telemetry.refused`."""
        self._refusals.labels(what, code).inc()

    def waited(self, seconds: float) -> None:
        """See `Telemetry.waited`."""
        self._queue_wait.observe(seconds)

    def withdrawn(self, seconds: float) -> None:
        """See `Telemetry.withdrawn`."""
        self._withdrawals.observe(seconds)

    def commit_failed(self, code: str) -> None:
        """See `Telemetry.commit_failed`."""
        self._commit_failures.labels(code).inc()

    def unavailable(self, stage: str, topic: str) -> None:
        """See `Telemetry.unavailable`."""
        del topic
        self._unavailable.labels(stage).inc()

    def policy_loaded(self, snapshot: Snapshot, at_us: int) -> None:
        """See `Telemetry.policy_loaded`. The topics that the snapshot names become label values."""
        self._loaded_at.set(at_us / 1_000_000)
        self._rules.set(snapshot.rule_count)
        self._without_defaults.set(len(snapshot.without_default_derivations))
        self._topics = _TopicNames(snapshot)

    def policy_refused(self) -> None:
        """See `Telemetry.policy_refused`."""
        self._refused.inc()

    def policy_waiting(self, waits: bool) -> None:
        """See `PolicyTelemetry.policy_waiting`."""
        self._policy_waiting.set(waits)

    # -- the HTTP server --

    def rate_limited(self, scope: str) -> None:
        """Count a request that a rate limit refused; `scope` is key, tenant or address."""
        self._limited.labels(scope).inc()

    def webhook_message(self, outcome: str) -> None:
        """Count a try of a message to a webhook: delivered, failed, or given up."""
        self._webhook_messages.labels(outcome).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one HTTP answer; `route` is the pattern of its endpoint, never the path."""
        key = (method, route, status)
        children = self._request_children.get(key)
        if children is None:
            children = self._request_children[key] = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(route),
            )
        children[0].inc()
        children[1].observe(seconds)


class _CacheCollector(Collector):
    """The counters that a decision cache keeps itself."""

    def __init__(self, cache: DecisionCache) -> None:
        self._cache = cache

    def collect(self) -> Iterable[Metric]:
        cache = self._cache
        for name, text, value in (
            ("hits", "Decisions taken from the cache", cache.hits),
            ("misses", "Decisions evaluated anew", cache.misses),
            ("evictions", "Entries given up because the cache was full", cache.evictions),
        ):
            yield CounterMetricFamily(f"forestall_decision_cache_{name}", text, value=value)
        yield GaugeMetricFamily(
            "forestall_decision_cache_entries", "Decisions remembered now", value=len(cache)
        )


class _WorkCollector(Collector):
    """Queued and leased jobs, workers and streams, counted at each scrape."""

    def __init__(
        self, queue: Sized, leases: Sized, workers: Iterable[object], streams: Sized
    ) -> None:
        self._queue, self._leases, self._workers = queue, leases, workers
        self._streams = streams

    def collect(self) -> Iterable[Metric]:
        for name, text, value in (
            ("queued_jobs", "Jobs that wait for a worker", len(self._queue)),
            ("leased_jobs", "Jobs in the hands of workers", len(self._leases)),
            ("workers", "Workers that are registered", sum(1 for _ in self._workers)),
            ("streams_open", "Streams of the log that are open", len(self._streams)),
        ):
            yield GaugeMetricFamily(f"forestall_{name}", text, value=value)


class _TopicNames:
    """Topic → label value: the topic or glob that a rule names, else `other`."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        layers = snapshot.layers if snapshot is not None else ()
        named = dict.fromkeys(
            glob for layer in layers for rule in layer.rules for glob in rule.match.topics
        )
        named.pop("*", None)
        self._globs: list[tuple[str, Matcher]] = [
            (glob, compile_globs((glob,))) for glob in list(named)[:METRIC_TOPICS_MAX]
        ]
        self._label_of: dict[str, str] = {}  # by topic

    def name(self, topic: str) -> str:
        label = self._label_of.get(topic)
        if label is None:
            if len(self._label_of) >= METRIC_TOPICS_MAX * 10:
                self._label_of.clear()  # clients choose topics, so bound the memory by forgetting
            label = next((glob for glob, matches in self._globs if matches(topic)), OTHER_TOPIC)
            self._label_of[topic] = label
        return label
