"""Topics and pools, as an operator declares them. Values and their bounds; no I/O."""

import re
from enum import StrEnum

import msgspec

from forestall.errors import InvalidRequestError
from forestall.limits import DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, TAGS_MAX, TOPIC_CHARS_MAX

TOPIC_NAME = re.compile(r"job(\.[A-Za-z0-9_-]+)+")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # a pool or schema name; one path segment


class RegistryBinding(msgspec.Struct, frozen=True):
    """A registry entry as a decision found it. Two revisions with one content are alike, so
    `digest`, the SHA-256 (hex) of the content, says whether the entry changed; `revision` tells
    people which one it was."""

    kind: str
    name: str
    revision: int
    digest: str


class TopicInvalidError(InvalidRequestError):
    """The topic cannot be declared as asked: a field is wrong, or names what is not there."""

    code, http_status = "TOPIC_SCHEMA_VIOLATION", 400


class PoolInvalidError(InvalidRequestError):
    """The pool cannot be declared, changed or drained as asked: a field is wrong."""

    code, http_status = "POOL_INVALID_CONFIG", 400


class TopicStatus(StrEnum):
    """Whether jobs of a topic are accepted."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"  # accepted, with a warning to people
    DISABLED = "disabled"


class Topic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A kind of work. Every job of the topic has its `requires` and `risk_tags` as facts.

    `input_schema_id` names the schema that payloads must meet; empty: no check.
    """

    name: str
    pool: str = ""
    input_schema_id: str = ""
    output_schema_id: str = ""
    pack_id: str = ""
    requires: tuple[str, ...] = ()
    risk_tags: tuple[str, ...] = ()
    status: TopicStatus = TopicStatus.ACTIVE


class PoolStatus(StrEnum):
    """Whether workers of a pool get jobs."""

    ACTIVE = "active"
    DRAINING = "draining"  # no new jobs; running jobs may end
    INACTIVE = "inactive"


class Pool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of workers. The credential of a worker names its pools."""

    name: str
    description: str = ""
    requires: tuple[str, ...] = ()  # what its workers can do; shown to people, not enforced
    status: PoolStatus = PoolStatus.ACTIVE
    drained_at_us: int = 0  # when a draining pool becomes inactive, in µs (UTC)

    def status_at(self, now_us: int) -> PoolStatus:
        """The status at an instant: a draining pool is inactive once its time is over."""
        if self.status is PoolStatus.DRAINING and now_us >= self.drained_at_us:
            return PoolStatus.INACTIVE
        return self.status


class PoolLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A pool with its topics and workers, its running jobs, and how many jobs it can run at
    once."""

    pool: Pool
    status: PoolStatus
    topics: tuple[str, ...]
    workers: tuple[str, ...]
    active_jobs: int
    capacity: int


def problem_of_topic(topic: Topic) -> str:
    """Why the topic cannot be declared; empty when it can."""
    if len(topic.name) > TOPIC_CHARS_MAX or not TOPIC_NAME.fullmatch(topic.name):
        return f"`name` is `job.` and segments of letters, digits, _ and -, up to {TOPIC_CHARS_MAX}"
    for field in ("pool", "input_schema_id", "output_schema_id"):
        name = getattr(topic, field)
        if name and not NAME.fullmatch(name):
            return f"`{field}` is no name of one"
    if len(topic.pack_id) > NAME_CHARS_MAX:
        return f"`pack_id` has at most {NAME_CHARS_MAX} characters"
    return _problem_of_words(topic.requires, "requires") or _problem_of_words(
        topic.risk_tags, "risk_tags"
    )


def problem_of_pool(pool: Pool) -> str:
    """Why the pool cannot be declared; empty when it can."""
    if not NAME.fullmatch(pool.name):
        return "the name of a pool is 1 to 128 letters, digits, . _ and -, first a letter or digit"
    if len(pool.description) > DESCRIPTION_CHARS_MAX:
        return f"`description` has at most {DESCRIPTION_CHARS_MAX} characters"
    return _problem_of_words(pool.requires, "requires")


def _problem_of_words(words: tuple[str, ...], field: str) -> str:
    """Why a field cannot have these words; empty when it can."""
    if len(words) > TAGS_MAX:
        return f"`{field}` has at most {TAGS_MAX} entries"
    if len(set(words)) < len(words):
        return f"`{field}` names something twice"
    if any(not 1 <= len(word) <= NAME_CHARS_MAX for word in words):
        return f"an entry of `{field}` has 1 to {NAME_CHARS_MAX} characters"
    return ""
