"""What crosses the network: shapes and spellings, apart from meanings."""
