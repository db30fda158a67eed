"""A long run of everything together, outside of `make test`."""
