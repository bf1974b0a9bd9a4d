"""Celery, and the processes that do what is owed. Celery only rings the bell."""
