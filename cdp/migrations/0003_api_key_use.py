"""What each API key calls, how often, and its last error."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cdp", "0002_audit_append_only")]
    operations = [
        migrations.CreateModel(
            name="ApiKeyUse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("method", models.CharField(max_length=7)),
                (
                    "address",
                    models.CharField(
                        help_text="With names in place of ids: /api/v1/profiles/{ref}/", max_length=200
                    ),
                ),
                ("calls", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
                ("last_at", models.DateTimeField()),
                ("last_error_at", models.DateTimeField(null=True)),
                ("last_status", models.PositiveSmallIntegerField(null=True)),
                (
                    "last_error",
                    models.CharField(
                        blank=True, default="", help_text="Without what it quotes.", max_length=300
                    ),
                ),
                (
                    "key",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="uses",
                        to="cdp.apikey",
                    ),
                ),
            ],
            options={
                "ordering": ["-calls"],
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("key", "method", "address"), name="api_key_use_once_per_address"
                    )
                ],
            },
        ),
    ]
