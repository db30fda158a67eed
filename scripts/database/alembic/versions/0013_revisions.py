"""Executes revisions/0013_revisions.sql."""

from app.migrate import run_revision

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_revision(revision)
