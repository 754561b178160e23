"""Subjects, credentials, roles: who asks. Proves an identity; never decides what may run."""
