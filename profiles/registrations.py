"""What ``profiles`` offers at the places to plug in, the platform's and its own; its admin pages are registered in ``profiles.admin``."""

from __future__ import annotations

from typing import Any

from cdp import personal_data_registry, retention, webhooks
from cdp.actors import Actor
from cdp.api import dry_run
from cdp.roles_and_scopes import register_rights


def register() -> None:
    """Called once, when the app is ready."""
    # Any process may work on a job or end one: their handlers are known everywhere.
    from profiles import invariants, looks, roles_and_scopes, webhook_topics
    from profiles import retention as profile_retention
    from profiles.bulk import actions, exports
    from profiles.consent import list_filter as consent_filter
    from profiles.duplicates.finding import full_scan  # noqa: F401
    from profiles.duplicates.finding.delete import forget as delete_from_duplicates
    from profiles.duplicates.review import likelihood
    from profiles.duplicates.review import list_filter as duplicates_filter
    from profiles.merging import preview_sections
    from profiles.merging.batches import apply, preview, undo  # noqa: F401
    from profiles.merging.preview_consents import read_consents
    from profiles.models import Change
    from profiles.personal_data import NOT_PERSONAL, TABLES
    from profiles.privacy import export_parts
    from profiles.quality import hourly_counts
    from profiles.search.list_filters import list_filters
    from profiles.tracking.rejected.retention import delete_old_receipts

    register_rights("profiles", roles_and_scopes.RIGHTS)
    webhooks.register_topics(webhook_topics.TOPICS)
    personal_data_registry.providers.register(
        "profiles",
        personal_data_registry.Provider(
            tables=TABLES,
            not_personal=NOT_PERSONAL,
            sections=export_parts.SECTIONS,
            delete=delete_from_duplicates,
        ),
    )
    invariants.register()
    looks.register()
    actions.register()
    retention.expiry.register("exports", exports.forget_exports)
    retention.expiry.register("receipts", delete_old_receipts)
    retention.expiry.register("hourly counts", hourly_counts.forget_hours)
    retention.expiry.register("merge batches", profile_retention.forget_batches)
    retention.expiry.register("duplicate cases", profile_retention.forget_cases)
    retention.register_rules(profile_retention.RULES)
    preview_sections.sections.register(
        "consents",
        preview_sections.PreviewSection(read_consents, "admin/profiles/merge_consents.html", "table"),
    )
    likelihood.register()
    list_filters.register("consent", consent_filter.FILTER, order=40)
    list_filters.register("duplicates", duplicates_filter.FILTER, order=70)
    dry_run.effect_readers.register("changes", dry_run.EffectReader(Change, _describe_change))


def _describe_change(change: Any, actor: Actor) -> dict[str, Any]:
    """A journal entry; old and new values only for those who may see them."""
    can_view_pii = actor.can("profiles.view_pii")
    return {
        "kind": f"profile.{change.kind}",
        "profile_id": change.profile_id,
        "fields": change.fields if can_view_pii else sorted(change.fields),
    }
