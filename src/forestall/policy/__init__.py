"""The policy language: load → compile → evaluate → explain. The stable API for embedding."""

from forestall.policy.compile import Snapshot, compile_policy
from forestall.policy.evaluate import evaluate
from forestall.policy.explain import Explanation, explain
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
