"""What values of several settings look like, and the default that is too long for its line."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

Port = Annotated[int, Field(ge=1, le=65535, description="a port from 1 to 65535")]
Positive = Annotated[int, Field(ge=1, description="a whole number from 1")]
Url = Annotated[SecretStr | None, Field(description="an address such as scheme://user:password@host:port/name")]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="DEBUG, INFO, WARNING or ERROR")]
#: Liquid pairs; Bitfinex trades most against USD.
MAJORS = "*:BTC:USDT,*:BTC:USD,*:ETH:USDT,*:ETH:USD,*:SOL:USDT,*:XRP:USDT,*:LTC:USDT,*:DOGE:USDT,*:ETH:BTC"
