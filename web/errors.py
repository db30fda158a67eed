"""What a refused request is told: one sentence, the field it is about, and what is allowed there.

422  the value cannot be (an unknown interval, a negative limit, an end before its start)
404  the value could be, but there is no such thing here (a market, an exchange)
503  a server behind this one does not answer now
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from common.errors import BadInput, Retryable

#: The content type of whatever is refused.
PROBLEM = "application/problem+json"
#: pydantic's word for the fault -> what we say, and what is allowed.
_SENTENCES = {
    "missing": ("{field} is required.", "a value"),
    "int_parsing": ("{field} must be a whole number, not {given!r}.", "a whole number"),
    "int_from_float": ("{field} must be a whole number, not {given!r}.", "a whole number"),
    "int_parsing_size": ("{field} is too large a number.", "a whole number of at most 64 bits"),
    "float_parsing": ("{field} must be a number, not {given!r}.", "a number"),
    "finite_number": ("{field} must be a number, not {given!r}.", "a number"),
    "literal_error": ("{field} cannot be {given!r}.", "one of its words"),
    "bool_parsing": ("{field} must be true or false, not {given!r}.", "true, false"),
}


class NotFound(BadInput):
    """A well-formed name of something that is not here."""


def json_response(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def refusal(status: int, detail: str, field: str, allowed: str) -> Response:
    """A problem as RFC 9457 has it, whose `detail` is the sentence."""
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body = msgspec.json.encode(problem | {"field": field, "allowed": allowed})
    return Response(body, status, media_type=PROBLEM)


def install(app: FastAPI) -> None:
    """Make every refusal of `app` look alike."""
    app.add_exception_handler(BadInput, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_parameter)
    app.add_exception_handler(Retryable, _ask_again)
    app.add_exception_handler(HTTPException, _refuse_unread)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, BadInput)
    status = 404 if isinstance(error, NotFound) else 422
    return refusal(status, error.sentence, error.field, error.allowed)


async def _refuse_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refusal(422, *parameter_fault(error))


def parameter_fault(error: RequestValidationError) -> tuple[str, str, str]:
    """What is wrong with the first wrong parameter, its name, and what is allowed there."""
    first: Mapping[str, Any] = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"The body is no JSON: {first['ctx']['error']}.", "body", "a JSON object"
    field = str(first["loc"][-1])
    sentence, allowed = _SENTENCES.get(first["type"], ("{field}: " + first["msg"] + ".", ""))
    return sentence.format(field=field, given=first.get("input")), field, allowed


async def _refuse_unread(request: Request, error: Exception) -> Response:
    """What the framework refuses by itself: no such route, no such method, a body that is no JSON."""
    assert isinstance(error, HTTPException)
    answer = refusal(error.status_code, str(error.detail), "", "")
    answer.headers.update(error.headers or {})
    return answer


async def _ask_again(request: Request, error: Exception) -> Response:
    return refusal(503, str(error), "", "")
