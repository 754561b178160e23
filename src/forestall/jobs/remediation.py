"""Apply a remediation to a submission. The result is a new submission that no gate has decided."""

import msgspec

from forestall.jobs.job import Submission
from forestall.policy.rules import Remediation


def rewritten(submission: Submission, remediation: Remediation) -> Submission:
    """The submission with the topic, capability and labels of the remediation, and the same
    payload."""
    labels = {
        name: value
        for name, value in submission.labels.items()
        if name not in remediation.remove_labels
    }
    return msgspec.structs.replace(
        submission,
        topic=remediation.replacement_topic or submission.topic,
        capability=remediation.replacement_capability or submission.capability,
        labels={**labels, **remediation.add_labels},
    )
