from django.apps import AppConfig


class SegmentsConfig(AppConfig):
    name = "segments"
    verbose_name = "Segments"

    def ready(self) -> None:
        from cdp import looks, personal_data_registry, retention, webhooks
        from cdp.roles_and_scopes import register_rights
        from profiles.bulk.run_action import actions
        from profiles.demo import add_demo_step
        from profiles.merging.preview_sections import sections
        from profiles.reading.view_parts import view_parts
        from profiles.search.list_filters import list_filters
        from segments import invariants, list_filter, roles_and_scopes
        from segments.bulk_action import ACTION
        from segments.evaluate import preview_job  # noqa: F401  (any process may end its jobs)
        from segments.membership import fill, of_profiles  # noqa: F401
        from segments.merge_preview import SECTION
        from segments.personal_data import PROVIDER
        from segments.retention import RULES

        register_rights("segments", roles_and_scopes.RIGHTS)
        webhooks.register_topics(
            {"segment.entered": "Somebody came into a segment", "segment.left": "Somebody left a segment"}
        )
        personal_data_registry.providers.register("segments", PROVIDER)
        retention.register_rules(RULES)
        sections.register("segments", SECTION)
        view_parts.register("segments", of_profiles.PART)
        list_filters.register("segment", list_filter.FILTER, order=45)
        actions.register("segment", ACTION)
        looks.register_pages(
            "segment",
            "a segment",
            (
                "admin/segments/segment/add",
                "admin/segments/segment/preview",
                "admin/segments/segment/<int:segment_id>/change",
                "admin/segments/segment/<int:segment_id>/rule",
                "api/v1/segments/preview",
                *(f"api/v1/segments/<int:pk>/{part}" for part in ("members", "changes", "almost")),
            ),
        )
        looks.register_pages(
            "segment_why",
            "why somebody is in a segment",
            ("admin/segments/segment/<int:segment_id>/why", "api/v1/segments/<int:pk>/explain/<ref:ref>"),
        )
        invariants.register()
        add_demo_step("segments.demo.make_segments")
