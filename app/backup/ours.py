"""Which names of schema public are Candlehouse's own: what its revisions and its storage tiers make."""

import fnmatch
import re
from functools import cache

from app import migrate, tiers

_MADE = re.compile(
    r"(?:CREATE (?:OR REPLACE |UNIQUE )?"
    r"(?:TABLE|VIEW|MATERIALIZED VIEW|FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN|INDEX)"
    r"(?: IF NOT EXISTS)?|RENAME TO) ([\w%$]+)"
)
#: What stands for a part of a name, in a statement that is made by format().
_PART = re.compile(r"%\d\$s")


def is_ours(name: str) -> bool:
    """Whether a table, view, function, index or sequence of this name is made by any revision or tier."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _patterns())


@cache
def _patterns() -> tuple[str, ...]:
    made = _MADE.findall(migrate.create_sql() + tiers.all_sql())
    names = {_PART.sub("*", name) for name in made if not name.startswith("%")}
    return (*names, *(f"{name}_*_seq" for name in names))  # an identity column's
