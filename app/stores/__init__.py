"""PostgreSQL and Redis, behind words of the domain."""
