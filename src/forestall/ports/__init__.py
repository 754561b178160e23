"""Ports: the values and protocols by which the plane reaches the world. Adapters implement them."""
