"""Executes revisions/0011_minutes.sql."""

from app.migrate import run_revision

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_revision(revision)
