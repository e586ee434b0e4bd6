import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imports", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="import",
            name="cells",
            field=models.JSONField(
                default=dict, help_text="Filled cells by column and outcome; see imports.cells."
            ),
        ),
        # The model is not managed: its table is partitioned, which models cannot say.
        migrations.AddField(
            model_name="row",
            name="cells",
            field=models.TextField(help_text="A letter for each cell; see columns.cell_marks.", null=True),
        ),
        migrations.AddField(
            model_name="row",
            name="news",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                help_text="Of rows about one person: the fields and identifiers this row is the first to bring.",
                null=True,
                size=None,
            ),
        ),
        migrations.RunSQL(
            "ALTER TABLE imports_row ADD COLUMN cells text, ADD COLUMN news text[]",
            reverse_sql="ALTER TABLE imports_row DROP COLUMN cells, DROP COLUMN news",
        ),
    ]
