"""Which queues each worker takes messages from."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cdp", "0003_api_key_use")]
    operations = [
        migrations.AddField(
            model_name="worker",
            name="queues",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=100),
                default=list,
                help_text="What it takes messages from.",
                size=None,
            ),
        ),
    ]
