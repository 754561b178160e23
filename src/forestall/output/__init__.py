"""What a result may reveal: the findings in a text, and a copy of the text without them. Pure.

Start with `scan` (scan.py) and `redact` (redact.py). What is looked for stands in tables (data/),
and detectors/ makes detectors of them.
"""
