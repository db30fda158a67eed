"""What values of several settings look like, and the default that is too long for its line."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

Port = Annotated[int, Field(ge=1, le=65535, description="a port from 1 to 65535")]
Positive = Annotated[int, Field(ge=1, description="a whole number from 1")]
Url = Annotated[SecretStr | None, Field(description="an address such as scheme://user:password@host:port/name")]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="DEBUG, INFO, WARNING or ERROR")]


def ports_of(text: str) -> range:
    """`9310-9399` from the first to the last, one port alone, or none at all for `0`. Raises ValueError."""
    if text == "0":
        return range(0)
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text, re.ASCII)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise ValueError(text)
    return range(first, last + 1)


def _ports(text: str) -> str:
    ports_of(text)
    return text


PORTS = "0, a port, or a first and a last port such as 9310-9399"
Ports = Annotated[str, AfterValidator(_ports), Field(description=PORTS)]
#: Liquid pairs; Bitfinex trades most against USD.
MAJORS = "*:BTC:USDT,*:BTC:USD,*:ETH:USDT,*:ETH:USD,*:SOL:USDT,*:XRP:USDT,*:LTC:USDT,*:DOGE:USDT,*:ETH:BTC"
