"""Judge an action by the registry before any gate decides it: is its topic declared, and does its
context fit the input schema of the topic?

Every verb that takes an action calls `admitted`, so that simulate decides as submit does. The
requirements and risk tags that a topic adds become part of the request and of the job hash.
"""

import msgspec

from forestall.control.plane import Plane
from forestall.errors import InvalidRequestError, UnavailableError
from forestall.jobs.job import Submission
from forestall.jobs.registry import Topic, TopicStatus
from forestall.limits import TOPICS_NAMED_MAX
from forestall.projections.registry import DecodedEntry

TOPICS_ENDPOINT = "/api/v1/topics"


class UnknownTopicError(InvalidRequestError):
    """The tenant has declared its topics, and this is none of them."""

    code, http_status = "unknown_topic", 400


class TopicDisabledError(InvalidRequestError):
    """The topic is declared as disabled; it takes no jobs."""

    code, http_status = "topic_disabled", 400


class SchemaViolationError(InvalidRequestError):
    """The context of the job does not fit the input schema of its topic; `violations` say where."""

    code, http_status = "schema_validation_failed", 400


class SchemaUnavailableError(UnavailableError):
    """The input schema of the topic is missing or unusable, so no job of it is taken."""

    code, http_status = "schema_unavailable", 503


def admitted(plane: Plane, tenant: str, submission: Submission) -> Submission:
    """The submission with the requirements and risk tags that its topic adds; the same object when
    the topic adds none.

    Raises UnknownTopicError, TopicDisabledError, SchemaViolationError, SchemaUnavailableError.
    """
    topics = plane.registry.topics(tenant)
    if not topics:
        return submission
    entry = topics.get(submission.topic)
    if entry is None:
        raise _unknown_topic(sorted(topics))
    topic = entry.value
    if topic.status is TopicStatus.DISABLED:
        raise TopicDisabledError("topic is disabled")
    if topic.input_schema_id:
        _require_schema_fit(plane, tenant, entry, submission)
    requires = _with_added(submission.requires, topic.requires)
    risk_tags = _with_added(submission.risk_tags, topic.risk_tags)
    if requires is submission.requires and risk_tags is submission.risk_tags:
        return submission
    return msgspec.structs.replace(submission, requires=requires, risk_tags=risk_tags)


def _with_added(words: tuple[str, ...], added: tuple[str, ...]) -> tuple[str, ...]:
    """The words, and those of `added` that they lack; the same tuple when they lack none."""
    missing = tuple(word for word in added if word not in words)
    return words + missing if missing else words


def _unknown_topic(names: list[str]) -> UnknownTopicError:
    return UnknownTopicError(
        "unknown topic",
        told={
            "registered_topics": names[:TOPICS_NAMED_MAX],
            "truncated": len(names) > TOPICS_NAMED_MAX,
            "topics_endpoint": TOPICS_ENDPOINT,
        },
    )


def _require_schema_fit(
    plane: Plane, tenant: str, entry: DecodedEntry[Topic], submission: Submission
) -> None:
    schema_id = entry.value.input_schema_id
    schema = plane.registry.schemas(tenant).get(schema_id)
    if schema is None or schema.value.compiled is None:
        raise SchemaUnavailableError(f"the input schema `{schema_id}` of the topic cannot be used")
    violations = schema.value.compiled.violations(
        submission.context, size_bytes=len(submission.payload)
    )
    if violations:
        raise SchemaViolationError(
            "schema_validation_failed",
            told={"schema_id": schema_id, "violations": list(violations)},
        )
