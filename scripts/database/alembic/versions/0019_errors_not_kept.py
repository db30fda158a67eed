"""Executes revisions/0019_errors_not_kept.sql."""

from app.migrate import run_revision

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_revision(revision)
