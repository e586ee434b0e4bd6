"""Loads the platform's own pages, each of which registers itself with the site."""

from cdp.admin import access, account, audit, confirm, help_pages, jobs, logins, mail, roles, webhooks  # noqa: F401
