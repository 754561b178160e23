"""Clients of the plane's HTTP API, for agents, workers and operators. Imports nothing of the
server."""
