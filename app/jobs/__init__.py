"""The jobs: each a function or small class that takes what it needs as arguments."""
