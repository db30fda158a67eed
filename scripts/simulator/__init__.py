"""A server that speaks the exchanges' real protocols for a market whose every minute is known beforehand."""
