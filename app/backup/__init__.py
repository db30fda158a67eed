"""Backups: pg_dump's archive of schema public, and the way back into a database in one transaction."""
