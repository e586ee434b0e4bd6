"""Small tables in and out as CSV: tags and attribute definitions. People come in through imports/."""

from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import conditional_escape
from import_export import resources
from import_export.admin import ImportExportMixin
from import_export.fields import Field
from import_export.formats import base_formats
from import_export.instance_loaders import ModelInstanceLoader

from cdp import audit
from cdp.actors import Actor
from cdp.spreadsheets import safe_cell, unsafe_cell
from profiles.identity.normalize import BadValue
from profiles.models import AttributeDefinition, Tag
from profiles.values.attributes import check_new_name


class DefinitionFiles(ImportExportMixin):
    """Import and export buttons of a small table; who may is closed by the settings, both are written down."""

    formats = (base_formats.CSV,)
    skip_admin_log = True

    def process_result(self, result: Any, request: HttpRequest) -> Any:
        counts = {name: count for name, count in result.totals.items() if count}
        audit.record(f"{self.model._meta.model_name}.import", actor=Actor.of_request(request), detail=counts)
        return super().process_result(result, request)


class ByNameInAnyCase(ModelInstanceLoader):
    """Names are unique without regard to case; so is finding the row a line is about."""

    def get_instance(self, row: dict[str, Any]) -> Model | None:
        name = str(row.get("name") or "").strip()
        value: Model | None = self.get_queryset().filter(name__iexact=name).first()
        return value


class PlainDiff:
    """What a line makes of a row, as plain cells: the stock diff paints with inline styles."""

    def __init__(self, resource: Any, instance: Any, new: bool) -> None:
        self.before = {} if new else self._cells(resource, instance)
        self.after: dict[str, str] = {}

    def _cells(self, resource: Any, instance: Any) -> dict[str, str]:
        fields = resource.get_user_visible_fields()
        return {field.column_name: str(field.export(instance) or "") for field in fields}

    def compare_with(self, resource: Any, instance: Any, dry_run: bool = False) -> None:
        self.after = self._cells(resource, instance) if instance else {}

    def as_html(self) -> list[str]:
        return [
            conditional_escape(
                new if self.before.get(name, "") in ("", new) else f"{self.before[name]} → {new}"
            )
            for name, new in self.after.items()
        ]


class ListField(Field):
    """A list in one cell, parted by vertical bars."""

    def clean(self, row: dict[str, Any], **kwargs: Any) -> list[str]:
        cell = str(row.get(self.column_name) or "")
        return [part.strip() for part in cell.split("|") if part.strip()]

    def export(self, instance: Any, **kwargs: Any) -> str:
        return " | ".join(self.get_value(instance) or [])


class _Definitions(resources.ModelResource):
    @classmethod
    def get_diff_class(cls) -> type[PlainDiff]:
        return PlainDiff

    def export_field(self, field: Field, instance: Any, **kwargs: Any) -> str:
        value = super().export_field(field, instance, **kwargs)
        return safe_cell("" if value is None else str(value))

    def before_import_row(self, row: dict[str, Any], **kwargs: Any) -> None:
        row |= {name: unsafe_cell(cell) for name, cell in row.items() if isinstance(cell, str)}


class TagResource(_Definitions):
    class Meta:
        model = Tag
        fields = ("name", "color", "description")
        import_id_fields = ("name",)
        instance_loader_class = ByNameInAnyCase
        clean_model_instances = True
        skip_unchanged = True
        use_bulk = False

    def before_import_row(self, row: dict[str, Any], **kwargs: Any) -> None:
        super().before_import_row(row, **kwargs)
        row["color"] = str(row.get("color") or Tag.Color.GRAY).lower()


class AttributeResource(_Definitions):
    choices = ListField(attribute="choices", column_name="allowed_values")

    class Meta:
        model = AttributeDefinition
        fields = ("name", "label", "type", "sensitivity", "description", "choices", "merge_rule")
        import_id_fields = ("name",)
        instance_loader_class = ByNameInAnyCase
        clean_model_instances = True
        skip_unchanged = True
        use_bulk = False

    def before_import_row(self, row: dict[str, Any], **kwargs: Any) -> None:
        super().before_import_row(row, **kwargs)
        row["type"] = str(row.get("type") or AttributeDefinition.Type.TEXT).lower()
        row["sensitivity"] = str(row.get("sensitivity") or AttributeDefinition.Sensitivity.PERSONAL).lower()
        row["merge_rule"] = str(row.get("merge_rule") or "").strip().lower()
        try:
            check_new_name(str(row.get("name") or ""))
        except BadValue as error:
            raise ValueError(str(error)) from error

    def before_save_instance(self, instance: AttributeDefinition, row: dict[str, Any], **kwargs: Any) -> None:
        """A name's spelling and an attribute's type stay as they were first registered."""
        if instance.pk:
            known = AttributeDefinition.objects.get(pk=instance.pk)
            instance.name, instance.type = known.name, known.type
