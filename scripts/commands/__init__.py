"""One module for each `candlehouse` command; scripts/cli.py lists them."""
