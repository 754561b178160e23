"""Forestall inside a program: each action of an agent is decided before it runs. No server, and no
record either: keep the decisions yourself where somebody has to prove them later.

Run it with `python examples/embed.py`.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forestall.policy import Effect, Request, compile_policy, evaluate, explain, load_policy

# Once: read, check and compile. A mistake in the file is a PolicyError with line and column.
SNAPSHOT = compile_policy(load_policy(Path(__file__).with_name("policy.yaml")))

ACTIONS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("job.exec.shell", "ls orders | wc -l", None),
    ("job.exec.shell", "ls && rm -rf orders", None),
    ("job.pay.refund", "", {"amount": 20}),
    ("job.pay.refund", "", {"amount": 2000}),
    ("job.pay.refund", "", {"amount": "2000"}),
    ("job.mail.send", "hello", None),
]


def main() -> None:
    """Decide on each action, and say what the agent should do about it."""
    for topic, prompt, args in ACTIONS:
        request = Request(topic=topic, args=args, payload={"prompt": prompt, "context": None})
        # The instant is an argument: the same request at the same instant is decided alike.
        now = datetime.now(UTC)
        decision = evaluate(SNAPSHOT, request, now=now)
        print(f"{decision.decision.value:17} {decision.rule_id or decision.code:15} {topic}")
        if decision.decision is Effect.ALLOW:
            continue  # and only here the action would run
        print(f"    {decision.reason}")
        for remediation in decision.remediations:
            print(f"    instead: {remediation.title} ({remediation.replacement_topic})")
        if decision.code == "default":
            nearest = explain(SNAPSHOT, request, now=now).rules[0]
            missing = ", ".join(clause.field for clause in nearest.failed)
            print(f"    nearest rule: {nearest.rule_id}; what failed: {missing}")


if __name__ == "__main__":
    main()
