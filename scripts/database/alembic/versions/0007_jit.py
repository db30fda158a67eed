"""Executes revisions/0007_jit.sql."""

from app.migrate import run_revision

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_revision(revision)
