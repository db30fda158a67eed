"""Everything about exchanges. Knows nothing of databases."""
