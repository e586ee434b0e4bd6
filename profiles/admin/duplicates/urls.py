"""Where the pages about duplicates are, under the names the admin's links expect."""

from __future__ import annotations

from django.contrib import admin

from profiles.admin.duplicates import clusters, listing, review
from profiles.admin.duplicates.why import pair_why
from profiles.admin.profile_urls import OwnPages
from profiles.models import DuplicateCase, DuplicatePair


class DuplicatePairAdmin(OwnPages):
    pages = (
        ("", listing.pairs, "changelist"),
        ("act/", listing.act, "act"),
        ("scan/", listing.scan, "scan"),
        ("next/", review.start, "next"),
        ("<int:pair_id>/change/", review.review, "review"),
        ("<int:pair_id>/why/", pair_why, "why"),
    )


class DuplicateCaseAdmin(OwnPages):
    pages = (
        ("", clusters.cases, "changelist"),
        ("<int:case_id>/change/", clusters.case, "change"),
    )


admin.site.register(DuplicatePair, DuplicatePairAdmin)
admin.site.register(DuplicateCase, DuplicateCaseAdmin)
