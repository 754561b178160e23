"""The closed value sets of derived labels: every value that a deriver can give. Data only.

A policy that names a value outside its set has a rule that never matches, so the reader of policy
files refuses it. The sets are written out here because the modules of the derivers load parsers,
and a policy is read without them; a test compares the sets with the enums of the derivers. A new
class, and a new label with a closed set, is added here too.
"""

from collections.abc import Mapping

_COMMAND_CLASSES = (
    "read",
    "secret",
    "write",
    "build",
    "network",
    "privileged",
    "destructive",
    "unknown",
)
CLOSED_VALUES: Mapping[str, tuple[str, ...]] = {
    "command_class": _COMMAND_CLASSES,
    "command_scope": ("workspace", "runs_later", "outside", "system", "root", "unknown"),
    "sql_class": (
        "read",
        "write",
        "schema",
        "privilege",
        "destructive",
        "transaction",
        "unknown",
    ),
    "url_host_kind": ("public", "private", "loopback", "link_local", "metadata", "unknown"),
    "path_class": ("workspace", "outside", "system", "secret", "runs_later", "unknown"),
    "cluster_class": _COMMAND_CLASSES,
}
