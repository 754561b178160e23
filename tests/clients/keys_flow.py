"""Run by a Python that has cordum-sdk: what its strict models make of keys, credentials, statistics
and status. Prints what the client read."""

import json
import os

from cordum_sdk._generated.api.api_keys import create_api_key, delete_api_key, list_api_keys
from cordum_sdk._generated.api.dlq import list_dlq
from cordum_sdk._generated.api.health import get_status, health_check_v1
from cordum_sdk._generated.api.policy import get_output_policy_stats
from cordum_sdk._generated.api.worker_credentials import (
    create_worker_credential,
    delete_worker_credential,
    list_worker_credentials,
)
from cordum_sdk._generated.api.workers import list_workers
from cordum_sdk._generated.client import AuthenticatedClient
from cordum_sdk._generated.models import CreateAPIKeyRequest, CreateWorkerCredentialBody

URL, KEY = os.environ["FORESTALL_URL"], os.environ["FORESTALL_API_KEY"]


def main() -> None:
    """Ask for everything once."""
    client = AuthenticatedClient(base_url=URL, token=KEY, prefix="", auth_header_name="X-API-Key")
    tenant = {"client": client, "x_tenant_id": "default"}
    made = create_api_key.sync_detailed(body=CreateAPIKeyRequest(name="sdk"), **tenant)
    keys = list_api_keys.sync(**tenant).items
    body = CreateWorkerCredentialBody(worker_id="sdk-worker", allowed_topics=["job.*"])
    issued = create_worker_credential.sync_detailed(body=body, **tenant)
    credentials = list_worker_credentials.sync(**tenant).items
    ended = delete_worker_credential.sync_detailed("sdk-worker", **tenant)
    status = get_status.sync(**tenant)
    stats = get_output_policy_stats.sync(**tenant)
    revoked = delete_api_key.sync_detailed(made.parsed.key.id, **tenant)
    told = {
        "made": [int(made.status_code), bool(made.parsed.secret)],
        "keys": {key.name: [str(key.created_at), str(key.last_used)] for key in keys},
        "issued": [int(issued.status_code), bool(issued.parsed.token)],
        "credentials": [[one.worker_id, one.created_by] for one in credentials],
        "ended": int(ended.status_code),
        "status": [status.time.year, status.uptime_seconds, status.workers, status.build.to_dict()],
        "stats": [stats.total_checks_24h, stats.last_check_at.year],
        "revoked": int(revoked.status_code),
        "health": int(health_check_v1.sync_detailed(**tenant).status_code),
        "workers": len(list_workers.sync(**tenant).items),
        "dlq": list_dlq.sync(**tenant),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
