"""The policy language: load → compile → evaluate → explain. The stable API for embedding.

`load_policy` reads one file or text and refuses what it does not understand; `compile_policy` makes
one immutable snapshot of one or several policies:

>>> from datetime import UTC, datetime
>>> from forestall.policy import Request, compile_policy, evaluate, explain, load_policy
>>> policy = load_policy('''
... name: example
... rules:
...   - id: look-around
...     decision: allow
...     match: {topics: ["job.exec.*"], labels: {command_class: read}}
... ''')
>>> snapshot = compile_policy(policy)

`evaluate` decides one request at one instant and never raises. The label `command_class` is derived
from the payload; the request does not claim it:

>>> now = datetime(2026, 1, 1, 12, tzinfo=UTC)
>>> listing = Request(topic="job.exec.shell", payload={"prompt": "ls", "context": None})
>>> decision = evaluate(snapshot, listing, now=now)
>>> decision.decision.value, decision.rule_id, decision.reason
('allow', 'look-around', '')

`explain` returns the same decision with the rules that came nearest, and their clauses that failed:

>>> removal = Request(topic="job.exec.shell", payload={"prompt": "rm -r x", "context": None})
>>> explanation = explain(snapshot, removal, now=now)
>>> explanation.decision.decision.value, explanation.decision.code
('deny', 'default')
>>> [(clause.field, clause.wanted, clause.found) for clause in explanation.rules[0].failed]
[('labels.command_class', ('read',), ('destructive',))]

A name is loaded when it is first used, so that importing `forestall.policy.rules` or `.request`
does not load the engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forestall.policy.compile import Snapshot, compile_policy
    from forestall.policy.evaluator import evaluate
    from forestall.policy.explainer import explain
    from forestall.policy.explanation import Explanation
    from forestall.policy.language.policy_file import load_policy
    from forestall.policy.problems import PolicyError
    from forestall.policy.request import Request
    from forestall.policy.rules import Decision, Effect, Policy

__all__ = [
    "Decision",
    "Effect",
    "Explanation",
    "Policy",
    "PolicyError",
    "Request",
    "Snapshot",
    "compile_policy",
    "evaluate",
    "explain",
    "load_policy",
]

# No module of this room may have the name of one of these: once imported, a module hides the name.
_MODULES = {
    "Decision": "rules",
    "Effect": "rules",
    "Explanation": "explanation",
    "Policy": "rules",
    "PolicyError": "problems",
    "Request": "request",
    "Snapshot": "compile",
    "compile_policy": "compile",
    "evaluate": "evaluator",
    "explain": "explainer",
    "load_policy": "language.policy_file",
}


if not TYPE_CHECKING:  # to a type checker a name that is not above stays a mistake

    def __getattr__(name: str) -> object:
        """One name of the API, loaded now (PEP 562). Raises AttributeError."""
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value
