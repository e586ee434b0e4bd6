"""Everything an app offers below it, registered when it is ready; the admin's part is in ``admin.py``."""

from __future__ import annotations

from django.apps import AppConfig


class StubConfig(AppConfig):
    name = "tests.stub_app"
    label = "stub"

    def ready(self) -> None:
        from cdp import invariants, looks, personal_data_registry, retention, webhooks
        from cdp.api import dry_run
        from cdp.job_steps import handler
        from cdp.models import AuditEntry
        from cdp.roles_and_scopes import Right, Rights, register_rights
        from profiles.bulk.run_action import Action, actions
        from profiles.merging.preview_sections import PreviewSection, sections
        from profiles.quality import import_figures
        from profiles.reading.view_parts import ViewPart, view_parts
        from profiles.search.filters import TextFilter
        from profiles.search.list_filters import ListFilter, list_filters, yes_or_no
        from segments.conditions.base import kinds
        from segments.conditions.person_type import TypeCondition
        from segments.person import loaders

        register_rights(
            "stub",
            Rights(
                roles={"marketer": frozenset({"stub.use"})},
                scopes={"segments": frozenset({"stub.use"})},
                words=(Right("stub.use", "segments", "Use the stub"),),
            ),
        )
        webhooks.register_topics({"stub.happened": "The stub happened"})
        handler("stub")(lambda chunk: False)
        retention.expiry.register("stub", lambda: 0)
        retention.rules.register("stub", retention.Rule("Kept."))
        looks.register_pages("stub", "the stub", ["stub/"])
        looks.people_behind.register("stub", lambda ids: [])
        invariants.invariants.register("stub", lambda: None)
        invariants.repairs.register("stub", lambda: 0)
        dry_run.effect_readers.register(
            "stub", dry_run.EffectReader(AuditEntry, lambda row, actor: {"kind": "stub"})
        )
        personal_data_registry.providers.register("stub", personal_data_registry.Provider())
        import_figures.providers.register(
            "stub",
            import_figures.ImportProvider(lambda days: [], lambda rows: [], lambda since: []),  # type: ignore[arg-type,return-value]
        )
        list_filters.register(
            "stub",
            ListFilter(
                "Stub",
                TextFilter,
                lambda roots, value: roots,
                yes_or_no,
                "admin/profiles/filter_text.html",
                "Stub.",
            ),
        )
        actions.register(
            "stub", Action("Stub", "Stub", "Stub", "profiles.bulk_update", lambda ids, params, **by: 0)
        )
        view_parts.register("stub", ViewPart(lambda root_ids: {}, list))
        sections.register("stub", PreviewSection(lambda winner_id, loser_id: lambda result: "stub"))
        kinds.register("stub", TypeCondition)
        loaders.register("stub", lambda people, owner: None)
