"""Run by a Python that has cordum-guard and cordum-sdk: look at approvals and answer one.

`approve_flow.py guard|sdk approve|reject JOB-ID`; prints what the client made of the answers.
"""

import json
import os
import sys

URL, KEY = os.environ["FORESTALL_URL"], os.environ["FORESTALL_API_KEY"]


def with_guard(word: str, job_id: str) -> dict[str, object]:
    """cordum-guard: list, then answer with an empty body."""
    from cordum_guard import CordumClient

    client = CordumClient(URL, KEY)
    listed = [entry.job_id for entry in client.list_approvals()]
    {"approve": client.approve_job, "reject": client.reject_job}[word](job_id)
    return {"listed": listed, "state": client.get_job(job_id).state}


def with_sdk(word: str, job_id: str) -> dict[str, object]:
    """cordum-sdk: its strict models read list, context and analytics; then answer."""
    from cordum_sdk._generated.api.approvals import (
        approve_job,
        get_approval_context,
        list_approvals,
        reject_job,
    )
    from cordum_sdk._generated.api.governance import get_approval_analytics
    from cordum_sdk._generated.client import AuthenticatedClient
    from cordum_sdk._generated.models import ApprovalDecisionRequest, GetApprovalAnalyticsGroupBy

    client = AuthenticatedClient(base_url=URL, token=KEY, prefix="", auth_header_name="X-API-Key")
    tenant = {"client": client, "x_tenant_id": "default"}
    listed = list_approvals.sync(**tenant)
    context = get_approval_context.sync(job_id, **tenant)
    decide = {"approve": approve_job, "reject": reject_job}[word]
    answer = decide.sync_detailed(job_id, body=ApprovalDecisionRequest(reason="fine"), **tenant)
    overall = get_approval_analytics.sync(**tenant)
    by_rule = get_approval_analytics.sync(group_by=GetApprovalAnalyticsGroupBy.RULE, **tenant)
    return {
        "listed": [str(item.decision) for item in listed.items],
        "rule": context.policy_snapshot_summary.matched_rule.id,
        "left_ms": context.time_remaining_ms,
        "status": int(answer.status_code),
        "total": overall.summary.total,
        "groups": [group.key for group in by_rule.groups],
    }


if __name__ == "__main__":
    flow = {"guard": with_guard, "sdk": with_sdk}[sys.argv[1]]
    print(json.dumps(flow(*sys.argv[2:])))
