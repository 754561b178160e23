"""The policy language: load → compile → evaluate → explain. The stable API for embedding.

A name is loaded when it is first used, so that `forestall.policy.rules` or `.request` can be
imported without the engine.
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
