"""The settings of the web: where it listens, whom it lets in, and how it stands behind a proxy."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from app.settings_checks import is_loopback
from app.settings_values import Port

ROOT = "nothing, or a path such as /candles without a slash at its end"


class WebSettings(BaseSettings):
    """Part of `app.settings.Settings`."""

    web_port: Port = 8000
    bind_address: str = "127.0.0.1"
    listen_address: str = ""
    web_token: SecretStr | None = None
    allowed_hosts: str = ""
    cors_origins: str = ""
    trusted_proxies: str = "127.0.0.1"
    root_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$", description=ROOT)] = ""

    @property
    def public(self) -> bool:
        """Whether others than this machine are let in; a peer's address cannot tell, for a bridge hides it."""
        return not is_loopback(self.bind_address) or bool(self.hosts)

    @property
    def listen(self) -> str:
        """The address that the page and Flower listen on; inside a container another than the published one."""
        return self.listen_address or self.bind_address

    @property
    def hosts(self) -> frozenset[str]:
        """Names under which a proxy lets others in."""
        return frozenset(_listed(self.allowed_hosts))

    @property
    def origins(self) -> frozenset[str]:
        """Other sites whose pages may use the web, as browsers name them."""
        return frozenset(one.rstrip("/") for one in _listed(self.cors_origins))


def _listed(text: str) -> list[str]:
    return [one.strip().lower() for one in text.split(",") if one.strip()]
