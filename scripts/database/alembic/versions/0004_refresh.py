"""Executes revisions/0004_refresh.sql."""

from app.migrate import run_revision

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_revision(revision)
