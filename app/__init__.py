"""What the program does (jobs), and what it is made of (stores, settings, wiring)."""
