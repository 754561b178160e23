"""Cases from use, attacks and public reports: a small input, and the answer that is wanted of it.

`payloads.jsonl` asks the fact readers and the scan, `policies.jsonl` asks a whole policy, and
`outputs.jsonl` says which characters of a realistic output are secret.
"""
