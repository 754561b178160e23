"""What is kept in memory of what the store holds. Nothing here decides; nothing here writes."""
