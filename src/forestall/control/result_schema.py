"""Whether the result of a job fits the output schema of its topic (ADR 0011).

The topic and the schema are those of now. The answer names the schema, and never the place or the
value that breaks it: both are the worker's words, and people read the reason of a verdict. Raises
nothing: a schema that cannot be used withholds the result, and so does a result that is too long to
be checked against a schema.
"""

from typing import NamedTuple

import msgspec

from forestall.control.plane import Plane
from forestall.jobs.job import Job

MISFIT, SCHEMA_UNUSABLE = "output_schema_violation", "output_schema_unavailable"


class ResultMisfit(NamedTuple):
    """Why a result is withheld: the code of the verdict, and a sentence for people."""

    code: str
    reason: str


def result_misfit(plane: Plane, job: Job, result: bytes) -> ResultMisfit | None:
    """Why the result of a job must not be read as it is; None where it fits, or no schema is
    demanded. `result` is JSON."""
    topic = plane.registry.topics(job.tenant).get(job.topic)
    if topic is None or not topic.value.output_schema_id:
        return None
    schema_id = topic.value.output_schema_id
    schema = plane.registry.schemas(job.tenant).get(schema_id)
    if schema is None or schema.value.compiled is None:
        return ResultMisfit(
            SCHEMA_UNUSABLE, f"the output schema `{schema_id}` of the topic cannot be used"
        )
    try:
        value = msgspec.json.decode(result)
        fits = not schema.value.compiled.violations(value, size_bytes=len(result))
    except (msgspec.DecodeError, ValueError, RecursionError):
        fits = False
    if fits:
        return None
    return ResultMisfit(
        MISFIT, f"the result does not fit the output schema `{schema_id}` of its topic"
    )
