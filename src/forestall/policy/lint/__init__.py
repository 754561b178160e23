"""What `policy check` says of rules that load: shadowed, unreachable, leading nowhere."""
