"""Where everything is kept: memory and SQLite behind one port."""
