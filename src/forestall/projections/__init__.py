"""Projections: the state kept in memory of what the store holds. Decides and commits nothing."""
