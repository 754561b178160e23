"""Jobs that most tests submit, and what comes back over HTTP."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

HELD_JOB: dict[str, Any] = {
    "topic": "job.deploy.apply",
    "prompt": "roll out",
    "capability": "infra.write",
    "labels": {"env": "prod"},
}
ALLOWED_JOB: dict[str, Any] = {"topic": "job.demo.read", "prompt": "status"}
DENIED_JOB: dict[str, Any] = {"topic": "job.exec.shell", "prompt": "rm -rf /"}


class Reply(NamedTuple):
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)
