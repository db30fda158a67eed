"""Secrets: where they may stand besides a variable, and how they enter an address."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from common.errors import BadInput

SECRETS = ("DATABASE_URL", "REDIS_URL", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "WEB_TOKEN")
FILES = tuple(f"{name}_FILE" for name in SECRETS)


def with_files(given: Mapping[str, str]) -> dict[str, str]:
    """`given`, and each secret NAME that it leaves to the file NAME_FILE; an empty file means no secret."""
    found = dict(given)
    for name, file in zip(SECRETS, FILES, strict=True):
        if file in found:
            text = _read(file, Path(found[file]))
            if text and name not in found:
                found[name] = text
    return found


def _read(variable: str, path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        sentence = f"{variable} names {path}, which cannot be read: {error.strerror}."
        raise BadInput(variable, sentence, "a file that you may read") from error


def with_password(address: SecretStr, password: SecretStr | None) -> str:
    """The address; one that names a user without a password gets `password`."""
    url = urlsplit(address.get_secret_value())
    if url.username and url.password is None and password is not None:
        return url._replace(netloc=url.netloc.replace("@", f":{_quoted(password)}@", 1)).geturl()
    return url.geturl()


def at_database(address: str, number: int) -> str:
    """The Redis address with another of its numbered databases."""
    return urlsplit(address)._replace(path=f"/{number}").geturl()


def login(kind: str, user: str, password: SecretStr | None) -> str:
    """`user:password` of the server whose variables begin with `kind`."""
    if password is None:
        sentence = (
            f"{kind}_HOST or COMMON_HOST is set but {kind}_PASSWORD is not: set it, or the whole address in a URL."
        )
        raise BadInput(f"{kind}_PASSWORD", sentence, "a password")
    return f"{quote(user, safe='')}:{_quoted(password)}"


def _quoted(secret: SecretStr) -> str:
    return quote(secret.get_secret_value(), safe="")
