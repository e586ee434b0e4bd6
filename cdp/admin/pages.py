"""Loads the platform's own pages, each of which registers itself with the site."""

from cdp.admin import access, jobs, mail  # noqa: F401
