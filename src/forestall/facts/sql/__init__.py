"""Facts of SQL text: the class of each statement and the tables that it touches."""
