"""Convert policy files of Cordum into ours: `forestall policy convert`."""
