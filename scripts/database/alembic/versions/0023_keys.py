"""Executes revisions/0023_keys.sql."""

from app.migrate import run_revision

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    run_revision(revision)
