"""A worker: a Python function that runs the jobs which the policy allows.

    forestall worker run worker:greet --id first

in this directory, with FORESTALL_WORKER_TOKEN set to what `forestall workers create` printed.
"""

import asyncio
from typing import Any

from forestall.client.worker import Failure, Retryable, WorkerJob


async def greet(job: WorkerJob) -> dict[str, Any]:
    """Called once for each job, with its ticket checked; what it returns is the job's result."""
    if not job.prompt.strip():
        # The submitter sees this code and text. Of any other exception only its class is told.
        raise Failure("nobody_named", "say in the prompt whom to greet")
    if job.prompt == "the moon" and job.attempt == 1:
        raise Retryable("the moon does not answer; nothing was done")
    for step in range(3):
        job.progress(f"step {step + 1} of 3", percent=step * 33)
        await asyncio.sleep(0.1)  # a cancelled job ends here, with asyncio.CancelledError
    return {"greeting": f"hello {job.prompt}", "attempt": job.attempt, "for": job.principal}
