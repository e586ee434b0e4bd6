"""What the pages of ``profiles`` add to the admin's frame: pages without a model, links of audit subjects."""

from cdp.admin.audit import subject_pages
from cdp.admin.site import ExtraPage, extra_pages
from profiles.admin.setup import setup

extra_pages.register("cdp_setup", ExtraPage("setup/", setup, "cdp_setup"))
for kind in ("profile", "tag", "source", "merge"):
    subject_pages.register(kind, f"admin:profiles_{kind}_change")
