"""Input schemas: the part of JSON Schema 2020-12 that is enforced, compiled with bounds (ADR 0011).

A schema must not say what is not checked. Refused are unknown keywords, unknown formats, references
to other documents, and schemas that examine one place of a payload too often. Patterns run in a
linear-time engine. A violation names place and keyword, never the value.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from forestall.canonical import digest
from forestall.errors import InvalidRequestError
from forestall.jobs.schema_cost import SchemaShapeError, require_bounded
from forestall.limits import (
    SCHEMA_BYTES_MAX,
    SCHEMA_PATTERN_BYTES_MAX,
    SCHEMA_PAYLOAD_BYTES_MAX,
    SCHEMA_VIOLATIONS_MAX,
)

_PLACE_CHARS_MAX = 200


class SchemaInvalidError(InvalidRequestError):
    """The input schema does not compile, is too large, or says what nothing enforces."""

    code, http_status = "schema_invalid", 400


class InputSchema:
    """A compiled input schema."""

    __slots__ = ("_validator", "digest")

    def __init__(self, body: bytes, schema: Any) -> None:
        """`body` is the JSON text of `schema`. Raises SchemaInvalidError."""
        self.digest = digest("schema", body)
        if len(body) > SCHEMA_BYTES_MAX:
            raise SchemaInvalidError(f"the schema is larger than {SCHEMA_BYTES_MAX} bytes")
        try:
            require_bounded(schema)
        except SchemaShapeError as cause:
            raise SchemaInvalidError(f"the schema is refused at {cause.place}: {cause}") from cause
        self._validator = _compiled(schema)

    def violations(self, value: Any, *, size_bytes: int) -> tuple[str, ...]:
        """The first few violations of a payload, in words; empty for a valid payload."""
        if size_bytes > SCHEMA_PAYLOAD_BYTES_MAX:
            return (f"the payload is larger than the {SCHEMA_PAYLOAD_BYTES_MAX} bytes checked",)
        if self._validator.is_valid(value):
            return ()
        found = tuple(islice(self._described(value), SCHEMA_VIOLATIONS_MAX))
        return found or ("the payload does not fit the schema",)

    def _described(self, value: Any) -> Iterator[str]:
        for error in self._validator.iter_errors(value):
            place = "/".join(("", *map(str, error.instance_path)))[:_PLACE_CHARS_MAX]
            rule = "/".join(("#", *map(str, error.schema_path)))[:_PLACE_CHARS_MAX]
            yield f"`{place or '/'}` breaks `{rule}`"


def _compiled(schema: Any) -> Any:
    # Imported at the first schema: it takes 24 ms, which a server without schemas saves.
    import jsonschema_rs

    try:
        return jsonschema_rs.Draft202012Validator(
            schema,
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(
                size_limit=SCHEMA_PATTERN_BYTES_MAX, dfa_size_limit=SCHEMA_PATTERN_BYTES_MAX
            ),
            validate_formats=True,
            ignore_unknown_formats=False,
        )
    except (ValueError, jsonschema_rs.ReferencingError, RecursionError) as cause:
        first = str(cause).splitlines()[0][:_PLACE_CHARS_MAX] if str(cause) else "no reason given"
        raise SchemaInvalidError(f"the schema does not compile: {first}") from cause
