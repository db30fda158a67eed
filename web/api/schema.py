"""How the answers that msgspec encodes are described in the OpenAPI page."""

from typing import Any

import msgspec

REFUSALS = {
    400: "What is no request at all",
    401: "It needs the token or a key",
    403: "The key may do less, or a page of another site asks",
    404: "No such thing here",
    413: "Too large",
    421: "Not a name of ours",
    422: "A value that cannot be",
    429: "The key asks too often, or wrong ones did",
    503: "A server behind this one does not answer, or not in time",
}


class Refusal(msgspec.Struct, frozen=True):
    """Every refused request is told one sentence, the field it is about, and what is allowed there."""

    detail: str
    field: str
    allowed: str


def described(answer: Any, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers `answer`; None: nothing."""
    return {status: {} if answer is None else {"content": _content(answer)}}


def refusals() -> dict[int | str, dict[str, Any]]:
    """What any route may be answered instead, by itself or before it is reached."""
    refused = {"content": _content(Refusal)}
    return {status: {"description": meaning, **refused} for status, meaning in REFUSALS.items()}


def refused_as(form: Any) -> dict[int | str, dict[str, Any]]:
    """The same where routes refuse in a form of their own, for what stands before them keeps ours."""
    either = {"anyOf": [_content(one)["application/json"]["schema"] for one in (form, Refusal)]}
    refused = {"content": {"application/json": {"schema": either}}}
    return {status: {"description": meaning, **refused} for status, meaning in REFUSALS.items()}


def _content(type_: Any) -> dict[str, Any]:
    (schema,), components = msgspec.json.schema_components([type_])
    return {"application/json": {"schema": _inline(schema, components)}}


def _inline(schema: Any, components: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inline(part, components) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if reference := schema.get("$ref"):
        return _inline(components[reference.rsplit("/", 1)[1]], components)
    return {name: _inline(part, components) for name, part in schema.items()}
