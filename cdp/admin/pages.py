"""Loads the platform's own pages, each of which registers itself with the site."""

from cdp.admin import (  # noqa: F401
    access,
    account,
    audit,
    confirm,
    help_pages,
    jobs,
    logins,
    mail,
    retention,
    roles,
    webhooks,
)
