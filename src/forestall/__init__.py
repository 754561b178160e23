"""An open, self-hostable agent control plane: every action decided before it runs."""

__version__ = "0.1.0"
