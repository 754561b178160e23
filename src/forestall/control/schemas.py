"""Add, read and remove input schemas. A schema that does not compile is not stored."""

from typing import Any

import msgspec

from forestall.control.plane import Plane
from forestall.control.registry_entries import drop_entry, put_entry, require_room
from forestall.errors import ConflictError, NotFoundError
from forestall.identity.credentials import Subject
from forestall.jobs.registry import NAME
from forestall.jobs.schemas import InputSchema, SchemaInvalidError
from forestall.limits import SCHEMAS_PER_TENANT_MAX
from forestall.ports.entries import EntryKind
from forestall.projections.registry import DecodedEntry, SchemaText


class SchemaNotFoundError(NotFoundError):
    """No input schema of this tenant has this id."""

    code, http_status = "schema_not_found", 404


class SchemaInUseError(ConflictError):
    """A topic names the schema; without it the topic would take no job."""

    code, http_status = "schema_in_use", 409


def list_schemas(plane: Plane, tenant: str) -> list[str]:
    """The ids of the schemas of a tenant."""
    return sorted(plane.registry.schemas(tenant))


def read_schema(plane: Plane, tenant: str, schema_id: str) -> Any:
    """A schema as it was sent. Raises SchemaNotFoundError."""
    return msgspec.json.decode(_schema_entry(plane, tenant, schema_id).value.body)


async def put_schema(plane: Plane, subject: Subject, schema_id: str, schema: Any) -> None:
    """Add or replace a schema. Raises SchemaInvalidError, RegistryFullError."""
    if not NAME.fullmatch(schema_id):
        raise SchemaInvalidError(
            "`id` is 1 to 128 letters, digits, . _ and -, first a letter or digit"
        )
    # load and decide
    body = msgspec.json.encode(schema)
    compiled = InputSchema(body, schema)
    schemas = plane.registry.schemas(subject.tenant)
    require_room(schemas, schema_id, SCHEMAS_PER_TENANT_MAX, "schemas")
    # commit, and announce
    await put_entry(
        plane,
        subject,
        EntryKind.SCHEMA,
        schema_id,
        body,
        current=schemas.get(schema_id),
        data={"digest": compiled.digest, "size_bytes": len(body)},
    )


async def end_schema(plane: Plane, subject: Subject, schema_id: str) -> None:
    """Remove a schema that no topic names. Raises SchemaNotFoundError, SchemaInUseError."""
    # load
    entry = _schema_entry(plane, subject.tenant, schema_id)
    # decide
    for topic in plane.registry.topics(subject.tenant).values():
        if schema_id in (topic.value.input_schema_id, topic.value.output_schema_id):
            raise SchemaInUseError(f"the topic `{topic.value.name}` names this schema")
    # commit, and announce
    await drop_entry(plane, subject, entry)


def _schema_entry(plane: Plane, tenant: str, schema_id: str) -> DecodedEntry[SchemaText]:
    entry = plane.registry.schemas(tenant).get(schema_id)
    if entry is None:
        raise SchemaNotFoundError(f"there is no schema `{schema_id[:80]}`")
    return entry
