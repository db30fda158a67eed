"""In which form bars are answered: by name, or by the media types that a client accepts."""

from enum import StrEnum

from common.errors import BadInput


class Format(StrEnum):
    """JSON is rows, COLUMNS the same in lists by column; the others are for many bars, and are streamed."""

    JSON = "json"
    COLUMNS = "columns"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        return _TYPES[self]

    @property
    def is_streamed(self) -> bool:
        return self not in (Format.JSON, Format.COLUMNS)


_TYPES = {
    Format.JSON: "application/json",
    Format.COLUMNS: "application/vnd.candlehouse.columns+json",
    Format.CSV: "text/csv",
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.PARQUET: "application/vnd.apache.parquet",
}
_BY_TYPE = {media_type: form for form, media_type in _TYPES.items()}
ALLOWED = ", ".join(Format)


def named(text: str) -> Format:
    """Raise BadInput for the name of none."""
    try:
        return Format(text.lower())
    except ValueError:
        raise BadInput("format", f"Unknown format {text!r}; use one of {ALLOWED}.", ALLOWED) from None


def accepted(header: str) -> Format:
    """What Accept (RFC 9110, 12.5.1) likes best; of equals the first, and JSON where it names none of ours."""
    best, weight = Format.JSON, 0.0
    for part in header.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        form = _BY_TYPE.get(media_type)
        if form is not None and (wanted := _weight(parameters)) > weight:
            best, weight = form, wanted
    return best


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
