"""What a result may reveal: findings, where they stand, and the text without them. Pure.

Start with `scan` (scan.py) and `redact` (redact.py); detectors are tables (detectors/).
"""
