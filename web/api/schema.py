"""How the answers that msgspec encodes are described in the OpenAPI page."""

from typing import Any

import msgspec

from web.errors import PROBLEM

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
    """A problem as RFC 9457 has it: `detail` is one sentence, `field` what it is about, `allowed` what may be.

    `title` is the status in words, and `type` about:blank, for the status says all that programs need.
    """

    type: str
    title: str
    status: int
    detail: str
    field: str
    allowed: str


def described(answer: Any, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers `answer`; None: nothing."""
    return {status: {} if answer is None else {"content": _content(answer)}}


def described_as(forms: dict[str, Any], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The same of a route that answers by media type; None: no JSON, a tuple: one of these."""
    content: dict[str, Any] = {}
    for media_type, answer in forms.items():
        content |= {media_type: {}} if answer is None else _content(answer, media_type)
    return {status: {"content": content}}


def refusals() -> dict[int | str, dict[str, Any]]:
    """What any route may be answered instead, by itself or before it is reached."""
    return _refused(_content(Refusal, PROBLEM))


def refused_as(form: Any) -> dict[int | str, dict[str, Any]]:
    """The same where routes refuse in a form of their own, for what stands before them keeps ours."""
    return _refused(_content(Refusal, PROBLEM) | _content(form))


def _refused(content: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": meaning, "content": content} for status, meaning in REFUSALS.items()}


def _content(type_: Any, media_type: str = "application/json") -> dict[str, Any]:
    types = type_ if isinstance(type_, tuple) else (type_,)
    schemas, components = msgspec.json.schema_components(types)
    found = [_inline(schema, components) for schema in schemas]
    return {media_type: {"schema": found[0] if len(found) == 1 else {"anyOf": found}}}


def _inline(schema: Any, components: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inline(part, components) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if reference := schema.get("$ref"):
        return _inline(components[reference.rsplit("/", 1)[1]], components)
    return {name: _inline(part, components) for name, part in schema.items()}
