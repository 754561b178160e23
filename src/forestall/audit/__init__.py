"""The audit log: records, hash chain, verification. Pure, so that a stranger can run it."""
