"""Who is asking: subjects, credentials, roles. Proves who; never decides what may run."""
