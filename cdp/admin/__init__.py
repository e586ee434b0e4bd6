"""The admin site people work in: its frame, its defaults for large tables, and the platform's own pages.

Imports no page: a page registers itself with the site, and the site's class is found through this package
(cdp/apps.py loads cdp.admin.pages once the site exists).
"""

from cdp.admin.model_admin import CdpModelAdmin, ReadOnlyAdmin
from cdp.admin.site import CdpAdminSite

__all__ = ["CdpAdminSite", "CdpModelAdmin", "ReadOnlyAdmin"]
