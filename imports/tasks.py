"""Registers the import's kinds of job where Celery looks for a room's tasks."""

from imports import apply, plan

__all__ = ["apply", "plan"]
