"""Warnings of `policy check` about rules that load: shadowed, unreachable, leading nowhere."""
