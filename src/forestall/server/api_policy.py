"""The part of the API about policy: decide, rehearse, explain, and what was in force."""

from msgspec import UNSET, UnsetType

from forestall.control.check import CheckResult, check
from forestall.control.plane import Plane
from forestall.control.publish import kept_policy
from forestall.control.read import list_activations
from forestall.control.simulate import asker_of, explain, simulate
from forestall.errors import ForbiddenError
from forestall.identity.roles import Permission
from forestall.jobs.job import Submission
from forestall.limits import ACTIVATIONS_SEARCHED_MAX
from forestall.ports.entries import PLATFORM_TENANT
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.server.query import limit_of
from forestall.wire.decisions import (
    CheckObject,
    ExplainedCheckObject,
    ExplainObject,
    check_object,
    explain_object,
)
from forestall.wire.policy import (
    ActivationObject,
    KeptPolicyObject,
    activation_object,
    kept_policy_object,
)
from forestall.wire.submissions import SubmissionBody, decode_check


def _check_object(
    checked: CheckResult, job_id: str, explain: ExplainObject | UnsetType = UNSET
) -> CheckObject:
    return check_object(
        checked.decision,
        job_id=job_id,
        job_hash=checked.job_hash,
        at_us=checked.at_us,
        explain=explain,
    )


async def _decoded(call: Call) -> tuple[Submission, str]:
    return await call.decoded(lambda body: decode_check(body, tenant=call.who.tenant))


P = Permission
_POLICY = "/api/v1/policy"
_TABLE = EndpointTable()


@_TABLE.row(
    "POST", _POLICY + "/evaluate", P.POLICY_CHECK, {200: CheckObject}, SubmissionBody, stops=True
)
async def _evaluate(plane: Plane, call: Call) -> Answer:
    """Decide an action that the caller itself enforces; leaves a record."""
    submission, job_id = await _decoded(call)
    return Answer(200, _check_object(await check(plane, call.who, submission), job_id))


@_TABLE.row(
    "POST",
    _POLICY + "/simulate",
    P.POLICY_READ,
    {200: CheckObject},
    SubmissionBody,
    query=("as_agent",),
    stops=True,
)
async def _simulate(plane: Plane, call: Call) -> Answer:
    """What the submit gate would decide; leaves no trace."""
    submission, job_id = await _decoded(call)
    asker = asker_of(plane, call.who, call.query.get("as_agent", ""))
    return Answer(200, _check_object(await simulate(plane, asker, submission), job_id))


@_TABLE.row(
    "POST",
    _POLICY + "/explain",
    P.POLICY_READ,
    {200: ExplainedCheckObject},
    SubmissionBody,
    query=("as_agent",),
    stops=True,
)
async def _explain(plane: Plane, call: Call) -> Answer:
    """The same, with what held and what failed; leaves no trace."""
    submission, job_id = await _decoded(call)
    asker = asker_of(plane, call.who, call.query.get("as_agent", ""))
    checked, explanation = await explain(plane, asker, submission)
    request = submission.request(tenant=asker.tenant, principal=asker.principal)
    return Answer(200, _check_object(checked, job_id, explain_object(explanation, request)))


@_TABLE.row(
    "GET", _POLICY + "/snapshots", P.POLICY_READ, {200: list[ActivationObject]}, query=("limit",)
)
async def _list_snapshots(plane: Plane, call: Call) -> Answer:
    """The snapshots that were in force, newest first."""
    activations = await list_activations(plane, limit=limit_of(call.query))
    in_force = plane.snapshot.digest if plane.snapshot is not None else ""
    # A policy may have come into force several times; the newest of these activations holds.
    current = next((entry for entry in activations if entry.digest == in_force), None)
    items = [activation_object(entry, in_force=entry is current) for entry in activations]
    return Answer(200, items)


@_TABLE.row("GET", _POLICY + "/snapshots/{digest}", P.POLICY_READ, {200: KeptPolicyObject})
async def _read_snapshot(plane: Plane, call: Call) -> Answer:
    """The content of a policy that was in force, who activated it and when."""
    digest = call.params[0]
    if call.who.tenant != PLATFORM_TENANT:  # one policy holds the rules of every tenant
        raise ForbiddenError("only keys of the platform's own tenant may read a whole policy")
    kept, entry = await kept_policy(plane, digest)
    activations = await list_activations(plane, limit=ACTIVATIONS_SEARCHED_MAX)
    body = kept_policy_object(
        digest,
        kept,
        [activation for activation in activations if activation.digest == digest],
        kept_at_us=entry.updated_at_us,
        in_force=plane.snapshot is not None and plane.snapshot.digest == digest,
    )
    return Answer(200, body)


ENDPOINTS = tuple(_TABLE)
