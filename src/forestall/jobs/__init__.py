"""Jobs: the unit of work that a client submits, its hash, its states, its approval. Pure."""
