"""What an exchange sent that nobody understands."""

from collections import Counter

import structlog

from common.errors import Malformed

log = structlog.get_logger(__name__)


class Complaints:
    """Malformed frames: each is counted, the first of each kind is logged."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self.counts: Counter[str] = Counter()

    def tell(self, error: Malformed) -> None:
        self.counts[error.kind] += 1
        if self.counts[error.kind] == 1:
            log.warning(
                "A message is skipped, as all of its kind will be", exchange=self._exchange, error=str(error)
            )
