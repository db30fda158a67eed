"""What an instance still waits for, asked of its web server as anybody would."""

import json
import urllib.error
import urllib.request

from pydantic import SecretStr


def missing(url: str, token: SecretStr | None) -> str:
    """What /ready waits for, in its own words; empty when it waits for nothing."""
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/ready", headers=headers), timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        return _reasons(error.read())
    except OSError:
        return "the web server"


def _reasons(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return "the web server"
    reasons = answer.get("reasons") if isinstance(answer, dict) else None
    return " ".join(f"{who}: {why}" for who, why in reasons.items()) if reasons else "fresh candles"
