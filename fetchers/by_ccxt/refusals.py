"""What ccxt recognises in an exchange's errors, in our words."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from common.errors import Rejected, Retryable
from fetchers import answers


def refusal(client: Any, name: str, status: int, headers: Mapping[str, str], body: bytes) -> Exception | None:
    """Retryable or Rejected when this is not a result. ccxt reads the body, the status has the last word."""
    error = _recognised(client, status, headers, body.decode(errors="replace"))
    if error is None:
        return answers.refused(name, status, headers)
    said = str(error).removeprefix(client.id).strip()[:200]
    errors = import_module("ccxt.base.errors")
    if isinstance(error, (errors.RateLimitExceeded, errors.DDoSProtection)):
        return answers.refused(name, 429, headers, said)
    if status in (403, 408, 418, 429, 451) or status >= 500:
        return answers.refused(name, status, headers, said)
    if isinstance(error, errors.OperationFailed) or type(error) is errors.ExchangeError:
        return Retryable(f"{name} answered {said}", status=status)
    return Rejected(f"{name} refuses the request: {said}", status=status)


def _recognised(client: Any, status: int, headers: Mapping[str, str], text: str) -> Exception | None:
    """The error that ccxt makes of it, if it does."""
    try:
        read = client.on_json_response(text)
    except (ValueError, RecursionError):
        read = None
    try:
        client.handle_errors(status, "", "", "GET", dict(headers), text, read, {}, "")
    except import_module("ccxt.base.errors").BaseError as error:
        recognised: Exception = error
        return recognised
    except Exception:  # a body in whose shape ccxt trusted
        return None
    return None
