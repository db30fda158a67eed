"""The whole stack on a real Docker Engine: `python3 -m tests.stack`, with nothing but Python and Docker."""
