"""Entry points: the command line, the simulator, database and container scripts."""
