"""Executes revisions/0017_audits.sql."""

from app.migrate import run_revision

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_revision(revision)
