"""What can go wrong, said once.

CandlehouseError
├── BadInput      a person asked for something that cannot be; says the field and what is allowed
├── Retryable     try again later; `retry_after_s` when the other side said how long
│   └── Ending    a connection still works, and will be ended by the other side
├── Rejected      asked properly, refused for good; trying again will not help
│   └── Blocked   all of it is refused to this network or country
└── Malformed     bytes that are not what the protocol says; `kind` groups them for counting
"""


class CandlehouseError(Exception):
    """The root of every error that Candlehouse raises on purpose."""


class BadInput(CandlehouseError):
    """A person's input is wrong; nothing was changed."""

    def __init__(self, field: str, sentence: str, allowed: str = "") -> None:
        super().__init__(sentence)
        self.field = field
        self.sentence = sentence
        self.allowed = allowed


class Retryable(CandlehouseError):
    """The other side cannot answer now; it may have said for how long, or until when (its own clock's ms)."""

    def __init__(
        self,
        reason: str,
        *,
        retry_after_s: float | None = None,
        until_ms: int | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.until_ms = until_ms
        self.status = status


class Ending(Retryable):
    """The other side has announced that it ends this connection; until then it works."""


class Rejected(CandlehouseError):
    """The other side will never answer this."""

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Blocked(Rejected):
    """The other side answers nobody at this address."""


class Malformed(CandlehouseError):
    """A message that does not fit its protocol. It is counted, logged once per kind, and skipped."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
