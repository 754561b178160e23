"""Clients of the plane's HTTP API, for agents, workers and operators, without any server code."""
