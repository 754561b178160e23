"""The operator's hands."""
