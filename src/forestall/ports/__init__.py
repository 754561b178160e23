"""What the plane needs of the world, as values and protocols. Adapters implement these."""
