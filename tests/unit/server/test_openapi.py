"""The OpenAPI document: valid, complete, as it was, and served without a key."""

import json
import re
from typing import Any, get_args

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from forestall.limits import QUERY_FIELDS_MAX
from forestall.server.api import ENDPOINTS
from forestall.server.endpoints import Endpoint
from forestall.server.openapi import document
from forestall.wire.objects import WireObject
from tests.asgi import Door
from tests.declared_answers import difference
from tests.golden.exchanges import OPENAPI_FILE, openapi_text


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi_text())
    return found


def _operation(api: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = api["paths"][endpoint.path][endpoint.method.lower()]
    return found


def test_the_document_is_valid(api: dict[str, Any]) -> None:
    problems = list(OpenAPIV31SpecValidator(api).iter_errors())
    assert not problems


def test_the_document_is_as_it_was() -> None:
    assert openapi_text() == OPENAPI_FILE.read_text(encoding="utf-8"), (
        "if this is meant: python -m tests.golden.exchanges"
    )


def test_the_document_is_served_without_a_key(door: Door, api: dict[str, Any]) -> None:
    reply = door.ask("GET", "/openapi.json", key="")
    assert (reply.status, reply.json) == (200, api)


def test_every_operation_names_its_permission_and_how_to_prove_it(api: dict[str, Any]) -> None:
    for endpoint in ENDPOINTS:
        operation = _operation(api, endpoint)
        assert operation["x-permission"] == endpoint.permission
        assert bool(operation["security"]) == (endpoint.permission is not None)
        assert {"default", *map(str, endpoint.responses)} <= operation["responses"].keys()
        assert len(endpoint.query) < QUERY_FIELDS_MAX
    names = [each["operationId"] for path in api["paths"].values() for each in path.values()]
    assert len(names) == len(set(names)) == len(ENDPOINTS)


def test_every_answer_has_a_struct_or_no_body() -> None:
    """A list is of Structs; 204 is the only status without a body."""
    for endpoint in ENDPOINTS:
        assert endpoint.responses
        for status, kind in endpoint.responses.items():
            if status == 204:
                assert kind is None
                continue
            (struct,) = get_args(kind) if getattr(kind, "__origin__", None) is list else (kind,)
            struct = getattr(struct, "__origin__", struct)
            assert issubclass(struct, WireObject), (endpoint.path, status)


def test_nobody_is_told_that_answers_get_no_new_fields(api: dict[str, Any]) -> None:
    closed = {
        name
        for name, schema in api["components"]["schemas"].items()
        if schema.get("additionalProperties") is False
    }
    requests = {each.request.__name__ for each in ENDPOINTS if each.request is not None}
    assert closed <= requests | {"BeatBody", "ErrorBody", "NamedResult"}


def test_a_query_field_without_a_meaning_is_refused() -> None:
    endpoint = ENDPOINTS[0]._replace(query=("no_such_field",))
    with pytest.raises(KeyError, match="no_such_field"):
        document([endpoint])


class _Inner(WireObject, frozen=True):
    """Something inside."""

    number: int


class _Outer(WireObject, frozen=True):
    """Something."""

    inner: _Inner
    word: str | msgspec.UnsetType = msgspec.UNSET


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"inner":{"number":1}}', ""),
        (b'{"inner":{"number":1},"word":"a"}', ""),
        (b'{"inner":{"number":"1"}}', "Expected `int`, got `str`.*inner.number"),
        (b'{"inner":{}}', "missing required field `number`.*inner"),
        (b'{"inner":{"number":1,"more":2}}', "unknown field `more`.*inner"),
        (b'{"inner":{"number":1},"word":null}', "got `null`.*word"),
        (b'{"inner":{"number":1}', "truncated"),
    ],
)
def test_an_answer_that_is_not_as_declared_is_noticed(body: bytes, expected: str) -> None:
    """The look at every answer of every test is itself looked at."""
    found = difference(body, _Outer)
    assert re.search(expected, found) if expected else not found
