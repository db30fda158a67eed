"""What came from one exchange over all connections of this process."""

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """Bare numbers, because they grow with every frame; whoever wants to know reads them."""

    frames: int = 0
    bytes: int = 0
    candles: int = 0
