"""Executes revisions/0022_names.sql."""

from app.migrate import run_revision

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    run_revision(revision)
