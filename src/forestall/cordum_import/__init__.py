"""Read policy files of Cordum and write ours: `forestall policy convert`."""
