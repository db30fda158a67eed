"""Redis's troubles in the program's own words."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from common.errors import Retryable


@contextmanager
def translated() -> Iterator[None]:
    """Raise Retryable for whatever keeps Redis from answering: away, full, loading, read-only."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise Retryable(f"Redis does not serve: {error or type(error).__name__}") from error
