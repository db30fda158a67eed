"""Rows of text under titles, aligned."""

from collections.abc import Iterator, Sequence


def aligned(titles: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> Iterator[str]:
    """One line a row; the first `left` columns are names, the others figures, which stand to the right."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row[:left], widths[:left], strict=True)]
        cells += [cell.rjust(width) for cell, width in zip(row[left:], widths[left:], strict=True)]
        yield "  ".join(cells).rstrip()
