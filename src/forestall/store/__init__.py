"""The stores: SQLite, and memory for tests, behind one port."""
