"""History work on queues: the Celery application and its thin tasks."""
