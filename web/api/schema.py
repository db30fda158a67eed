"""How the answers that msgspec encodes are described in the OpenAPI page."""

from typing import Any

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """Every refused request is told one sentence, the field it is about, and what is allowed there."""

    detail: str
    field: str
    allowed: str


def described(answer: Any) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers `answer`."""
    refused = {"content": _content(Refusal)}
    return {
        200: {"content": _content(answer)},
        404: {"description": "No such thing here", **refused},
        422: {"description": "A value that cannot be", **refused},
        503: {"description": "A server behind this one does not answer", **refused},
    }


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
