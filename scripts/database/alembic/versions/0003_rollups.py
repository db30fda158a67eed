"""Executes revisions/0003_rollups.sql."""

from app.migrate import run_revision

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_revision(revision)
