"""The check that a worker makes before it runs a job, written out without Forestall: a recipe for
workers in other languages. Needs an Ed25519 library and SHA-256.

`python examples/verify_ticket.py KEY WORKER-ID TENANT < job.json` for one job of a lease.
"""

import base64
import hashlib
import json
import sys
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify(job: dict[str, Any], key: str, worker_id: str, tenant: str, now_us: int) -> None:
    """Raises an exception unless this worker may run exactly this job now."""
    # (1) The control plane signed the ticket. The signature covers a tag and the ticket's bytes.
    body, signature = (unbase64(part) for part in job["ticket"].split("."))
    Ed25519PublicKey.from_public_bytes(unbase64(key)).verify(
        signature, b"forestall ticket v1\x00" + body
    )
    ticket = json.loads(body)
    # (2) It is for this worker, this tenant, this job and this attempt, and it says yes.
    require(ticket["worker"] == worker_id, "another worker")
    require(ticket["tenant"] == tenant == job["tenant"], "another tenant")
    require(ticket["job_id"] == job["job_id"], "another job")
    require(ticket["attempt"] == job["attempt"], "another attempt")
    require(ticket["topic"] == job["topic"], "another topic")
    require(ticket["decision"] in ("allow", "allow_with_constraints"), "not allowed")
    # (3) What was delivered is what was decided.
    require(job_hash(job) == ticket["job_hash"], "another job hash")
    # (4) It has not expired. And: never run the same (job_id, attempt) twice; keep a set of them.
    require(now_us < ticket["expires_at_us"], "expired")


def job_hash(job: dict[str, Any]) -> str:
    """Of everything that can change what runs, computed from what was delivered."""
    mcp, budget = job["mcp"], job["budget"]
    hashed = {
        "tenant": job["tenant"],
        "subject": job["principal"],
        "actor": [job["actor_id"], job["actor_type"]],
        "topic": job["topic"],
        "tool_call": [mcp.get(name, "") for name in ("server", "tool", "resource", "action")],
        "capability": job["capability"],
        "pack": job["pack_id"],
        "priority": job["priority"],
        "requires": sorted(job["requires"]),
        "risk_tags": sorted(job["risk_tags"]),
        "tags": sorted(job["tags"]),
        "labels": sorted([name, value] for name, value in job["labels"].items()),
        "payload": digest("payload", job["payload"].encode()),
        "budget": [
            budget.get(name)
            for name in ("max_input_tokens", "max_output_tokens", "max_total_tokens", "deadline_ms")
        ],
        "repeats": [job["idempotent"], job["max_retries"]],
    }
    # Canonical JSON (RFC 8785): keys sorted, no spaces, UTF-8.
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return digest("job", text.encode())


def digest(tag: str, data: bytes) -> str:
    """SHA-256 over `forestall`, the length of the tag, the tag and the data, NUL between them."""
    return hashlib.sha256(
        b"\x00".join((b"forestall", str(len(tag)).encode(), tag.encode(), data))
    ).hexdigest()


def unbase64(text: str) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def require(holds: bool, what: str) -> None:
    """One check."""
    if not holds:
        raise ValueError(f"do not run: {what}")


if __name__ == "__main__":
    verify(json.load(sys.stdin), *sys.argv[1:4], now_us=time.time_ns() // 1_000)
    print("run it")
