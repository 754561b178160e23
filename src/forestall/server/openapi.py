"""The table of endpoints → an OpenAPI 3.1 document. Pure; it says nothing that the table does not.

Fields of an answer that the document does not name may come with a later version, so clients are
not told that there are none. A request is read as strictly as its Struct says.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from forestall.limits import PAGE_ITEMS_MAX
from forestall.server.endpoints import Endpoint
from forestall.wire.errors import ErrorObject

_COMPONENT = "#/components/schemas/{name}"
_ERROR = {"$ref": "#/components/responses/Error"}
_JSON = "application/json"
_TIME = "a time such as 2026-06-01T12:00:00Z, or microseconds since 1970"
_OWN_TENANT = "the tenant of the key, or nothing"
# The fields of query strings: one name means the same everywhere.
_QUERY: Mapping[str, tuple[str, str]] = {
    "as_agent": ("string", "the id of an agent: decide as if it asked, within its rights"),
    "cursor": ("string", "`next_cursor` of the page before"),
    "force": ("boolean", "end it although it is in use"),
    "from": ("integer", "the position of the log after which the stream begins"),
    "group_by": ("string", "rule, approver, topic, agent, or overall for no groups"),
    "include_resolved": ("boolean", "whether those that were resolved are listed too"),
    "include_revoked": ("boolean", "whether revoked keys are listed too"),
    "last_event_id": ("integer", "as the header Last-Event-ID, for clients that cannot send it"),
    "limit": ("integer", f"the most items of a page; more than {PAGE_ITEMS_MAX} count as that"),
    "name": ("string", "exactly this name"),
    "org_id": ("string", _OWN_TENANT),
    "reason": ("string", "why; records and people are told"),
    "risk_tier": ("string", "low, medium, high or critical"),
    "since": ("string", _TIME),
    "state": ("string", "the state of a job"),
    "status": ("string", "the state of a job, or the status of an approval or an agent"),
    "team": ("string", "exactly this team"),
    "tenant": ("string", _OWN_TENANT),
    "tenant_id": ("string", _OWN_TENANT),
    "topic": ("string", "exactly this topic"),
    "trace_id": ("string", "exactly this trace"),
    "until": ("string", _TIME),
    "updated_after": ("string", _TIME),
    "updated_before": ("string", _TIME),
    "wait_ms": ("integer", "answer when the job has changed, or after so many milliseconds"),
    "while_state": ("string", "wait while the job is in this state"),
    "window": ("string", "a length of time before `until`, such as 90m, 24h or 7d"),
}
_KEY_SCHEMES = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The OpenAPI document. Raises KeyError for a field of a query string that has no meaning."""
    schemas, components = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, schemas)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    error = {"description": "A refusal; `code` says why", "content": _content(schemas[ErrorObject])}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Forestall",
            "summary": "An agent control plane: policy decides every action before it runs",
            "version": "1",  # of the API; the version of the server is nobody's business
        },
        "tags": [{"name": name} for name in dict.fromkeys(map(_tag, endpoints))],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {"Error": error},
            "securitySchemes": _KEY_SCHEMES,
        },
    }


def operation_id(endpoint: Endpoint) -> str:
    """A name of an endpoint that is also the name of a file, such as `get_jobs_job_id`."""
    path = endpoint.path.removeprefix("/api/v1")
    if path == endpoint.path:
        path = "/server" + path  # /health is not /api/v1/health
    return re.sub(r"\W+", "_", f"{endpoint.method.lower()}{path}").strip("_")


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of every type that the table names, and the components these refer to."""
    requests = dict.fromkeys(endpoint.request for endpoint in endpoints)
    bodies = dict.fromkeys(kind for endpoint in endpoints for kind in endpoint.responses.values())
    requests.pop(None, None)
    bodies.pop(None, None)
    kinds = [*requests, *bodies, ErrorObject]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_COMPONENT)
    _, strict = msgspec.json.schema_components(requests, ref_template=_COMPONENT)
    for name, component in components.items():
        if name not in strict and component.get("additionalProperties") is False:
            del component["additionalProperties"]
    return dict(zip(kinds, schemas, strict=True)), dict(sorted(components.items()))


def _operation(endpoint: Endpoint, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    public = endpoint.permission is None
    operation: dict[str, Any] = {
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "tags": [_tag(endpoint)],
        "x-permission": None if public else str(endpoint.permission),
        "security": [] if public else [{name: []} for name in _KEY_SCHEMES],
        "parameters": _parameters(endpoint),
    }
    if endpoint.request is not None:
        operation["requestBody"] = {"content": _content(schemas[endpoint.request])}
    operation["responses"] = {
        str(status): _response(endpoint, status, schemas) for status in sorted(endpoint.responses)
    }
    if not public:
        for status in (401, 403, 429):
            operation["responses"].setdefault(str(status), _ERROR)
    operation["responses"]["default"] = _ERROR
    return operation


def _response(endpoint: Endpoint, status: int, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    description = HTTPStatus(status).phrase
    kind = endpoint.responses[status]
    if kind is None:
        return {"description": description}
    if endpoint.streams:
        text = {"type": "string", "description": f"each `data` is one {kind.__name__}"}
        content = {"text/event-stream": {"schema": text, "x-event": schemas[kind]}}
        return {"description": "Events, as server-sent events", "content": content}
    schema = schemas[kind]
    if status >= 400:
        schema = {"anyOf": [schema, schemas[ErrorObject]]}
    return {"description": description, "content": _content(schema)}


def _content(schema: Any) -> dict[str, Any]:
    return {_JSON: {"schema": schema}}


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", endpoint.path)
    ]
    in_query = [
        {
            "name": name,
            "in": "query",
            "description": _QUERY[name][1],
            "schema": {"type": _QUERY[name][0]},
        }
        for name in endpoint.query
    ]
    return in_path + in_query


def _tag(endpoint: Endpoint) -> str:
    """The resource that an endpoint belongs to; `server` is what the server says of itself."""
    segments = endpoint.path.split("/")
    return segments[3] if endpoint.path.startswith("/api/v1/") else "server"
