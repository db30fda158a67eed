"""What a browser keeps after signing in: a cookie that proves the token was known, without holding it."""

import hmac

COOKIE = "candlehouse_session"
KEPT_S = 30 * 86_400


def same(given: str, token: str) -> bool:
    """Takes the same time however much of `given` is right."""
    return hmac.compare_digest(given.encode(errors="replace"), token.encode(errors="replace"))


def begin(token: str, now_s: float) -> str:
    """A cookie that is good for 30 days, or until the token changes."""
    expires = str(int(now_s) + KEPT_S)
    return f"{expires}.{_seal(token, expires)}"


def holds(cookie: str, token: str, now_s: float) -> bool:
    expires, _, seal = cookie.partition(".")
    return same(seal, _seal(token, expires)) and int(expires) > now_s


def _seal(token: str, expires: str) -> str:
    said = f"candlehouse session until {expires}"
    return hmac.new(token.encode(errors="replace"), said.encode(errors="replace"), "sha256").hexdigest()
