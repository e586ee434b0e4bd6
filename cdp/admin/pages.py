"""Loads the platform's own pages, each of which registers itself with the site."""

from cdp.admin import access, audit, help_pages, jobs, mail, retention, roles, webhooks  # noqa: F401
