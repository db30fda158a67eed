"""What a browser keeps after signing in: a cookie that proves the token or a key was known, without holding it."""

import hmac

COOKIE = "candlehouse_session"
KEPT_S = 30 * 86_400
#: Whose session it is, where it is not a key's: then it is the key's number.
TOKEN = "token"


def same(given: str, secret: str) -> bool:
    """Takes the same time however much of `given` is right."""
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode(errors="replace"))


def begin(whose: str, secret: str, now_s: float) -> str:
    """A cookie that is good for 30 days, or until the secret changes."""
    expires = str(int(now_s) + KEPT_S)
    return f"{whose}.{expires}.{_seal(whose, secret, expires)}"


def whose(cookie: str) -> str:
    """Whose session it says to be; empty for what is no cookie of ours."""
    name, _, rest = cookie.partition(".")
    return name if "." in rest and (name == TOKEN or (name.isascii() and name.isdecimal())) else ""


def holds(cookie: str, secret: str, now_s: float) -> bool:
    name, _, rest = cookie.partition(".")
    expires, _, seal = rest.partition(".")
    return same(seal, _seal(name, secret, expires)) and int(expires) > now_s


def _seal(name: str, secret: str, expires: str) -> str:
    said = f"candlehouse session of {name} until {expires}"
    return hmac.new(secret.encode(errors="replace"), said.encode(errors="replace"), "sha256").hexdigest()
