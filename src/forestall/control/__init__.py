"""The plane: one verb a file, each of them load, decide, commit, announce."""
