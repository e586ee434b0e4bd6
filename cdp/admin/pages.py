"""Loads the platform's own pages, each of which registers itself with the site."""

from cdp.admin import access, audit, jobs, mail, webhooks  # noqa: F401
