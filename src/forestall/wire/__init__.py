"""The JSON of the API: bodies ↔ values. Spelling only; nothing here decides."""
