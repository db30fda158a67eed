"""What each process tells Prometheus of itself: which figures there are, and where it answers."""
