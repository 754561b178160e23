"""A worker that keeps a book of its effects: one line a run, on disk before it answers.

Run as a process of its own, so that kill -9 means what it says:
`python kill_worker.py PORT NAME TOKEN BOOK`. Standard library only.
"""

import http.client
import json
import os
import sys
import time
from typing import Any


def main() -> None:
    """Lease, run, answer, for ever; while the server is away, wait for it."""
    port, name, token, book = int(sys.argv[1]), *sys.argv[2:5]
    handle = os.open(book, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        try:
            work(port, name, token, handle)
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(0.02)  # the server was killed


def work(port: int, name: str, token: str, book: int) -> None:
    """One connection, until it breaks."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def ask(path: str, body: Any) -> Any:
        headers = {"X-API-Key": token, "Content-Type": "application/json"}
        line.request("POST", f"/api/v1{path}", json.dumps(body), headers)
        return json.loads(line.getresponse().read())

    ask(f"/workers/{name}/register", {"max_parallel": 8})
    while True:
        taken = ask(f"/workers/{name}/lease", {"limit": 8, "wait_ms": 1_000})
        if taken.get("code") == "worker_not_registered":
            return
        for job in taken.get("jobs", ()):
            # A job must not begin before its worker knows that it still holds it.
            lease = {"job_id": job["job_id"], "lease_id": job["lease_id"]}
            if ask(f"/workers/{name}/heartbeat", {"leases": [lease]}).get("lost") != []:
                continue
            os.write(book, f"{job['job_id']} {job['attempt']} {name}\n".encode())
            os.fsync(book)
            body = {"lease_id": job["lease_id"], "status": "succeeded", "result": job["attempt"]}
            ask(f"/jobs/{job['job_id']}/result", body)


if __name__ == "__main__":
    main()
