"""Hints for authors who write keys or words of Cordum's policy language. Reads nothing itself.

Only keys that our language does not have are here; a key that both have is explained by its own
error.
"""

from collections.abc import Mapping

_CONVERT = "; `forestall policy convert FILE` rewrites a whole file"
_LAYERS = "each file is a layer here: write `layer` and `priority`; the strictest decision stands"

PEER_TOP_KEYS: Mapping[str, str] = {
    "tier": _LAYERS + _CONVERT,
    "selector": _LAYERS + _CONVERT,
    "default_tenant": "leave it out: the API key names the tenant" + _CONVERT,
    "tenants": "write `rules` with `tenants` in their `match`, those that deny first",
    "input_policy": "write `input_rules`: they are always on, and what fails denies",
    "output_policy": "write `output_rules`: they are always on, and what fails quarantines",
}
PEER_RULE_KEYS: Mapping[str, str] = {
    "tier": _LAYERS + _CONVERT,
    "selector": _LAYERS + _CONVERT,
    "velocity": "write `throttle: {limit: 10, window: 60s, key: [tenant]}`" + _CONVERT,
    "enabled": "leave it out, and the whole rule where it says `false`" + _CONVERT,
    "description": "write it as `reason`, or as a comment" + _CONVERT,
}
PEER_MATCH_KEYS: Mapping[str, str] = {
    "label_threshold": "write `labels: {amount: {gt: 10}}`, or compare the argument itself: "
    "`args: {$.amount: {gt: 10}}`",
    "label_allowlist": 'write `labels: {env: "*"}` and, in `unless`, the values: '
    "`labels: {env: [dev, test]}`" + _CONVERT,
    "predicate": "write `delegation: {max_depth: 2, required_scope: [read]}`" + _CONVERT,
    "agent_data_classifications": "write `agent_data_classes`" + _CONVERT,
    "scanners": "write `detectors`" + _CONVERT,
    "content_patterns": "write `patterns`" + _CONVERT,
    "input_size_gt": "write `size_gt`" + _CONVERT,
    "max_input_bytes": "write `size_gt` in a rule of its own" + _CONVERT,
    "output_size_gt": "write `size_gt`",
    "max_output_bytes": "write `size_gt`",
    "scope": "compare the items themselves with `args`; see `args` in the policy reference",
}
PEER_DELEGATION_KEYS: Mapping[str, str] = {
    "require_issuer": "write `issuers`: all who may have issued any link of the chain",
}
PEER_DECISIONS: Mapping[str, str] = {
    word: f"write `{ours}`{_CONVERT}"
    for word, ours in {
        "permit": "allow",
        "block": "deny",
        "require_human": "require_approval",
        "require-approval": "require_approval",
        "allow-with-constraints": "allow_with_constraints",
    }.items()
}
PEER_VERDICTS: Mapping[str, str] = {"deny": "write `quarantine`", "block": "write `quarantine`"}
PEER_MCP_KEYS: Mapping[str, str] = {
    **{
        f"allow_{part}": f"write `{part}`{_CONVERT}"
        for part in ("servers", "tools", "resources", "actions")
    },
    **{
        f"deny_{part}": f"write `{part}` in a rule that says deny, or under `unless` in one that"
        f" allows: elsewhere a deny rule with `deny_{part}` denies all but these{_CONVERT}"
        for part in ("servers", "tools", "resources", "actions")
    },
}
