"""Executes revisions/0018_listing.sql."""

from app.migrate import run_revision

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run_revision(revision)
