"""Where the pages of people are: our own pages under the names the admin's links expect."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import path

from cdp.admin.model_admin import CdpModelAdmin
from profiles.admin import (
    bulk_confirmation,
    card,
    card_actions,
    edit,
    exports,
    looks,
    merge_batches,
    merge_history,
    merging,
    profile_list,
    saved_views,
)
from profiles.admin.duplicates import why
from profiles.models import Merge, MergeBatch, Profile


class OwnPages(CdpModelAdmin):
    """Registered so that links, permissions and the menu know the model; every page is a view of ours."""

    pages: tuple[tuple[str, Any, str], ...] = ()

    def get_urls(self) -> list[Any]:
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path(route, self.admin_site.admin_view(view), name=f"{prefix}_{name}")
            for route, view, name in self.pages
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The stock pages that delete related rows must not reach people."""
        return False


class ProfileAdmin(OwnPages):
    pages = (
        ("", profile_list.people, "changelist"),
        ("deleted/", profile_list.deleted, "deleted"),
        ("columns/", profile_list.columns, "columns"),
        ("views/add/", saved_views.add, "view_add"),
        ("views/<int:savedview_id>/", saved_views.open_view, "view"),
        ("views/<int:savedview_id>/change/", saved_views.change, "view_change"),
        ("views/<int:savedview_id>/save/", saved_views.save, "view_save"),
        ("views/<int:savedview_id>/delete/", saved_views.delete, "view_delete"),
        ("add/", edit.add, "add"),
        ("bulk/export/", exports.export_people, "export_people"),
        ("restore/<int:job_id>/", bulk_confirmation.restore_deleted_by, "restore_deleted_by"),
        ("bulk/<slug:action>/", bulk_confirmation.bulk, "bulk"),
        ("exports/", exports.exports, "exports"),
        ("export/<int:job_id>/", exports.export, "export"),
        ("export/<int:job_id>/file/", exports.export_file, "export_file"),
        ("merge/", merging.wizard, "merge"),
        ("<int:profile_id>/", card.by_id, "by_id"),
        ("<int:profile_id>/change/", card.card, "change"),
        ("<int:profile_id>/timeline/", card.older, "timeline"),
        ("<int:profile_id>/edit/", edit.edit, "edit"),
        ("<int:profile_id>/field/<str:field>/", edit.edit_field, "field"),
        ("<int:profile_id>/delete/", edit.delete, "delete"),
        ("<int:profile_id>/restore/", edit.restore, "restore"),
        ("<int:profile_id>/note/", card_actions.note, "note"),
        ("<int:profile_id>/event/", card_actions.event, "event"),
        ("<int:profile_id>/message/", card_actions.message, "message"),
        ("<int:profile_id>/tag/", card_actions.tag, "tag"),
        ("<int:profile_id>/untag/", card_actions.untag, "untag"),
        ("<int:profile_id>/consent/", card_actions.consent, "consent"),
        ("<int:profile_id>/identifier/", card_actions.identifier, "identifier"),
        ("<int:profile_id>/identifier/remove/", card_actions.remove_identifier, "identifier_remove"),
        ("<int:profile_id>/identifier/confirm/", card_actions.confirm, "identifier_confirm"),
        ("<int:profile_id>/lock/", card_actions.lock, "lock"),
        ("<int:profile_id>/address/", card_actions.address, "address"),
        ("<int:profile_id>/address/<int:address_id>/remove/", card_actions.address_remove, "address_remove"),
        ("<int:profile_id>/promote/", card_actions.promote, "promote"),
        ("<int:profile_id>/duplicate/<int:pair_id>/", card_actions.verdict, "verdict"),
        ("<int:profile_id>/why/", why.choose, "why"),
        ("<int:profile_id>/why/<int:other>/", why.profile_why, "why"),
        ("<int:profile_id>/gdpr-export/", card_actions.gdpr_export, "gdpr_export"),
        ("<int:profile_id>/looks/", looks.of_person, "looks"),
    )


class MergeAdmin(OwnPages):
    pages = (
        ("", merge_history.history, "changelist"),
        ("<int:merge_id>/undo/", merging.undo, "undo"),
    )


class MergeBatchAdmin(OwnPages):
    pages = (
        ("", merge_batches.batches, "changelist"),
        ("add/", merge_batches.upload, "add"),
        ("queue/", merge_batches.of_queue, "queue"),
        ("<int:batch_id>/change/", merge_batches.show, "change"),
        ("<int:batch_id>/start/", merge_batches.start, "start"),
        ("<int:batch_id>/discard/", merge_batches.discard, "discard"),
        ("<int:batch_id>/undo/", merge_batches.undo, "undo"),
        ("<int:batch_id>/left-out.csv", merge_batches.left_file, "left_csv"),
    )


admin.site.register(Profile, ProfileAdmin)
admin.site.register(Merge, MergeAdmin)
admin.site.register(MergeBatch, MergeBatchAdmin)
