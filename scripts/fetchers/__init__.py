"""The predecessor's two command lines, `python -m scripts.fetchers.rest` and `… .ws`."""
