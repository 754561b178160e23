"""Bodies of POST /jobs and of the policy checks → Submission. Decides nothing.

Unknown fields are ignored for the sake of published clients; known fields are strict. `null` reads
as absent. Labels, capability and risk tags are read at the top level and under `meta`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from forestall.errors import ForbiddenError, InvalidRequestError, LimitExceededError
from forestall.identity.credentials import RESERVED_LABEL
from forestall.jobs.job import OWN_KEY_PREFIX, Budget, Priority, Submission
from forestall.limits import (
    DURATION_MS_MAX,
    IDEMPOTENCY_KEY_CHARS_MAX,
    INTEGER_MAX,
    LABEL_KEY_CHARS_MAX,
    LABEL_VALUE_CHARS_MAX,
    LABELS_MAX,
    NAME_CHARS_MAX,
    PROMPT_CHARS_MAX,
    RETRIES_MAX,
    TAGS_MAX,
    TOPIC_CHARS_MAX,
)
from forestall.policy.request import ToolCall
from forestall.wire.strict_json import QuickDecoder, decode_json, readable

DEFAULT_TOPIC = "job.default"
_TOPIC = re.compile(r"job(\.[A-Za-z0-9_-]+)+")
TENANT_ACCESS_DENIED = (
    "tenant access denied: the request names a tenant that its API key does not belong to"
)
_PAYLOAD_ENCODER = msgspec.json.Encoder()


class ReservedLabelError(InvalidRequestError):
    """A label that only the control plane may set was sent by a client."""

    code, http_status = "reserved_label", 400


class TenantAccessError(ForbiddenError):
    """The request names a tenant that the credential does not belong to."""

    code, http_status = "tenant_access_denied", 403


class Meta(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `meta` block of the wire contract. Its fields mean the same as those at the top level."""

    tenant_id: str | None = None
    actor_id: str | None = None
    actor_type: str | None = None
    idempotency_key: str | None = None
    capability: str | None = None
    risk_tags: list[str] | None = None
    requires: list[str] | None = None
    pack_id: str | None = None
    labels: dict[str, str | None] | None = None


class BudgetBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `budget` block of a policy check."""

    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    max_total_tokens: int | None = None
    deadline_ms: int | None = None


class ActionBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `action` block of a policy check: the tool call that rules look at."""

    server: str | None = None
    tool: str | None = None
    target_resource: str | None = None
    verb: str | None = None
    args: Any = None


class SubmissionBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every field of POST /jobs and of the policy checks that we read.

    `deadline_ms` counts from the submission; `job_id` is read in policy checks only.
    `share_approval`: while an identical request with this wish awaits approval, join it.
    """

    topic: str | None = None
    prompt: str | None = None
    context: Any = None
    args: Any = None
    action: ActionBody | None = None
    priority: str | None = None
    job_id: str | None = None
    tenant: str | None = None
    tenant_id: str | None = None
    org_id: str | None = None
    principal_id: str | None = None
    actor_id: str | None = None
    actor_type: str | None = None
    idempotency_key: str | None = None
    pack_id: str | None = None
    capability: str | None = None
    risk_tags: list[str] | None = None
    requires: list[str] | None = None
    tags: list[str] | None = None
    labels: dict[str, str | None] | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    max_total_tokens: int | None = None
    deadline_ms: int | None = None
    idempotent: bool | None = None
    max_retries: int | None = None
    share_approval: bool | None = None
    budget: BudgetBody | None = None
    meta: Meta | None = None


def decode_submission(body: bytes, *, tenant: str, header_key: str = "") -> Submission:
    """The submission in a body of POST /jobs. Raises InvalidRequestError, TenantAccessError."""
    request = _decode(body)
    if not request.prompt and not request.args and not (request.action and request.action.args):
        raise InvalidRequestError(
            "`prompt` is required and must not be empty, unless `args` say what to do"
        )
    return _submission(request, topic=request.topic or DEFAULT_TOPIC, tenant=tenant, key=header_key)


def decode_check(body: bytes, *, tenant: str) -> tuple[Submission, str]:
    """The submission in the body of a policy check, and the job id that it names (or an empty
    text).

    Raises as `decode_submission` does.
    """
    request = _decode(body)
    if not request.topic:
        raise InvalidRequestError("topic is required")
    submission = _submission(request, topic=request.topic, tenant=tenant, key="")
    return submission, _text(request.job_id, "job_id")


_READER = QuickDecoder(SubmissionBody)
_NO_META = Meta()
_NO_CALL = ActionBody()
_NO_BUDGET_BODY = BudgetBody()
_NO_TOOL_CALL = ToolCall()


def _decode(body: bytes) -> SubmissionBody:
    request = _READER.decode(body)
    return _decode_slowly(body) if request is None else request


def _decode_slowly(body: bytes) -> SubmissionBody:
    """The body read by the reader that can say what is wrong with it."""
    value = decode_json(body)
    if not isinstance(value, dict):
        raise InvalidRequestError("the body must be a JSON object")
    try:
        return msgspec.convert(value, SubmissionBody)
    except msgspec.ValidationError as cause:
        raise InvalidRequestError(readable(cause)) from cause


def _submission(request: SubmissionBody, *, topic: str, tenant: str, key: str) -> Submission:
    """The checked values of a body: every bound on a field is tested before any decision."""
    meta = request.meta or _NO_META
    _require_tenant(tenant, (request.tenant, request.tenant_id, request.org_id, meta.tenant_id))
    prompt = request.prompt or ""
    if len(prompt) > PROMPT_CHARS_MAX:
        size, allowed = len(prompt), PROMPT_CHARS_MAX
        raise LimitExceededError(
            f"the prompt is {size} characters long; {allowed} are allowed",
            details={"limit": "max_prompt_chars", "current": size, "allowed": allowed},
        )
    actor_id = _one(request.actor_id, meta.actor_id, "actor_id")
    body_key = _one(request.idempotency_key, meta.idempotency_key, "idempotency_key")
    call = request.action or _NO_CALL
    if request.args is not None and call.args is not None and request.args != call.args:
        raise InvalidRequestError("`args` and `action.args` differ; send one of them")
    args = request.args if request.args is not None else call.args
    return Submission(
        topic=_topic(topic),
        payload=_payload(prompt, request.context, args),
        prompt=prompt,
        context=request.context,
        args=args,
        mcp=_tool_call(call),
        capability=_text(_one(request.capability, meta.capability, "capability"), "capability"),
        pack_id=_text(_one(request.pack_id, meta.pack_id, "pack_id"), "pack_id"),
        actor_id=_text(actor_id or request.principal_id, "actor_id"),
        actor_type=_actor_type(_one(request.actor_type, meta.actor_type, "actor_type")),
        priority=_priority(request.priority),
        risk_tags=_texts((meta.risk_tags, request.risk_tags), "risk_tags"),
        requires=_texts((meta.requires, request.requires), "requires"),
        tags=_texts((request.tags,), "tags"),
        labels=_labels((meta.labels, request.labels)),
        budget=_budget(request),
        idempotent=bool(request.idempotent),
        max_retries=_retries(request.max_retries),
        share_approval=bool(request.share_approval),
        idempotency_key=_idempotency_key(key, body_key),
    )


def _tool_call(call: ActionBody) -> ToolCall:
    if call is _NO_CALL:
        return _NO_TOOL_CALL
    return ToolCall(
        server=_text(call.server, "action.server"),
        tool=_text(call.tool, "action.tool"),
        resource=_text(call.target_resource, "action.target_resource"),
        action=_text(call.verb, "action.verb"),
    )


def _payload(prompt: str, context: Any, args: Any) -> bytes:
    payload = {"prompt": prompt, "context": context}
    return _PAYLOAD_ENCODER.encode(payload if args is None else {**payload, "args": args})


def _require_tenant(tenant: str, named: Iterable[str | None]) -> None:
    for name in named:
        if name and name != tenant:
            raise TenantAccessError(TENANT_ACCESS_DENIED)


def _topic(topic: str) -> str:
    if len(topic) > TOPIC_CHARS_MAX:
        raise InvalidRequestError(f"`topic` is longer than {TOPIC_CHARS_MAX} characters")
    if not _TOPIC.fullmatch(topic):
        raise InvalidRequestError(
            "`topic` must be `job.` and dot-separated words of letters, digits, `_` and `-`,"
            " like `job.deploy.apply`"
        )
    return topic


def _one(top: str | None, nested: str | None, field: str) -> str | None:
    """The value of a field that may be at the top or under `meta`; two values are refused."""
    if top and nested and top != nested:
        raise InvalidRequestError(f"`{field}` and `meta.{field}` differ; send one of them")
    return top or nested


def _text(text: str | None, field: str) -> str:
    if text is not None and len(text) > NAME_CHARS_MAX:
        raise InvalidRequestError(f"`{field}` is longer than {NAME_CHARS_MAX} characters")
    return text or ""


def _texts(lists: Iterable[list[str] | None], field: str) -> tuple[str, ...]:
    """The distinct texts of several lists, in the order of their first occurrence."""
    texts: dict[str, None] = {}
    for items in lists:
        if items:
            texts.update(dict.fromkeys(items))
    if len(texts) > TAGS_MAX:
        raise InvalidRequestError(f"`{field}` has more than {TAGS_MAX} entries")
    for text in texts:
        _text(text, field)
    return tuple(texts)


def _labels(sources: Iterable[Mapping[str, str | None] | None]) -> dict[str, str]:
    """The labels of all places; a later place overrides an earlier one, and null is absent."""
    labels: dict[str, str] = {}
    for source in sources:
        if source:
            labels.update((key, value) for key, value in source.items() if value is not None)
    if len(labels) > LABELS_MAX:
        raise InvalidRequestError(f"`labels` has more than {LABELS_MAX} entries")
    for key, value in labels.items():
        if not key or len(key) > LABEL_KEY_CHARS_MAX:
            raise InvalidRequestError(f"a label name is 1 to {LABEL_KEY_CHARS_MAX} characters long")
        if len(value) > LABEL_VALUE_CHARS_MAX:
            raise InvalidRequestError(
                f"a label value is at most {LABEL_VALUE_CHARS_MAX} characters long"
            )
        if RESERVED_LABEL.match(key):
            raise ReservedLabelError(
                f"the label `{key[:80]}` is reserved: names that begin with `_`, `approval_` or"
                " `policy.` belong to the control plane"
            )
    return labels


def _actor_type(word: str | None) -> str:
    if word and word not in ("human", "service"):
        raise InvalidRequestError("`actor_type` is `human` or `service`")
    return word or ""


def _priority(word: str | None) -> Priority:
    try:
        return Priority(word) if word else Priority.INTERACTIVE
    except ValueError:
        names = ", ".join(f"`{priority}`" for priority in Priority)
        raise InvalidRequestError(f"`priority` is one of {names}") from None


def _budget(request: SubmissionBody) -> Budget:
    top, nested = request, request.budget or _NO_BUDGET_BODY
    return Budget(
        max_input_tokens=_count(top.max_input_tokens, nested.max_input_tokens, "max_input_tokens"),
        max_output_tokens=_count(
            top.max_output_tokens, nested.max_output_tokens, "max_output_tokens"
        ),
        max_total_tokens=_count(top.max_total_tokens, nested.max_total_tokens, "max_total_tokens"),
        deadline_ms=_deadline(_count(top.deadline_ms, nested.deadline_ms, "deadline_ms")),
    )


def _deadline(number: int | None) -> int | None:
    if number is not None and number > DURATION_MS_MAX:
        raise InvalidRequestError(
            f"`deadline_ms` is in milliseconds and at most a year, {DURATION_MS_MAX}"
        )
    return number


def _count(first: int | None, second: int | None, field: str) -> int | None:
    number = first if first is not None else second
    if number is not None and not 0 <= number <= INTEGER_MAX:
        raise InvalidRequestError(f"`{field}` is a whole number from 0 to 2^53-1")
    return number


def _retries(number: int | None) -> int | None:
    if number is not None and not 0 <= number <= RETRIES_MAX:
        raise InvalidRequestError(f"`max_retries` is a whole number from 0 to {RETRIES_MAX}")
    return number


def _idempotency_key(header: str, body: str | None) -> str:
    if header and body and header != body:
        raise InvalidRequestError(
            "the Idempotency-Key header and `idempotency_key` differ; send one of them"
        )
    if not header.isascii():  # two readers may decode its bytes as two texts
        raise InvalidRequestError(
            "the Idempotency-Key header holds ASCII only; send another text as `idempotency_key`"
        )
    key = header or body or ""
    if len(key) > IDEMPOTENCY_KEY_CHARS_MAX:
        raise InvalidRequestError(
            f"the idempotency key is longer than {IDEMPOTENCY_KEY_CHARS_MAX} characters"
        )
    if key.startswith(OWN_KEY_PREFIX):
        raise InvalidRequestError(
            f"idempotency keys that begin with `{OWN_KEY_PREFIX}` belong to the control plane"
        )
    return key
