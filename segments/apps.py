from django.apps import AppConfig


class SegmentsConfig(AppConfig):
    name = "segments"
    verbose_name = "Segments"

    def ready(self) -> None:
        from cdp import looks, personal_data_registry, retention, webhooks
        from cdp.roles_and_scopes import register_rights
        from profiles.demo import add_demo_step
        from profiles.merging.preview_sections import sections
        from profiles.reading.view_parts import view_parts
        from profiles.search.list_filters import list_filters
        from segments import invariants, list_filter, roles_and_scopes
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
        looks.register_pages(
            "segment",
            "people of a segment",
            (
                "api/v1/segments/preview",
                *(
                    f"api/v1/segments/<int:pk>/{part}"
                    for part in ("members", "changes", "almost", "explain/<ref:ref>")
                ),
            ),
        )
        list_filters.register("segment", list_filter.FILTER, order=45)
        invariants.register()
        add_demo_step("segments.demo.make_segments")
