"""Attributes have a merge rule, and a merge remembers those that decided; the search finds more spellings.

A generated column cannot be changed in place: it is made anew, which rewrites the table of profiles once.
"""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations, models

import profiles.models.search


class Migration(migrations.Migration):
    dependencies = [("profiles", "0004_proves_two_people")]

    operations = [
        migrations.AddField(
            model_name="attributedefinition",
            name="merge_rule",
            field=models.CharField(
                blank=True,
                choices=[
                    ("fill", "Keep the value of the profile that is kept"),
                    ("newest", "Take the newer value"),
                    ("sum", "Add the two numbers"),
                    ("largest", "Take the larger value"),
                    ("smallest", "Take the smaller value"),
                    ("union", "Unite the two lists"),
                ],
                default="",
                help_text="Where both have a value; an empty one is always filled from the other. As usual: lists are united, points and"
        " counters added up, and of other values the profile that is kept keeps its own.",
                max_length=8,
                verbose_name="when two profiles are merged",
            ),
        ),
        migrations.AddField(
            model_name="merge",
            name="rules",
            field=models.JSONField(
                default=dict,
                help_text="{field: merge rule} where the attribute's own rule decided, as it was at that time.",
            ),
        ),
        migrations.RemoveIndex(model_name="profile", name="profile_search"),
        migrations.RemoveField(model_name="profile", name="search"),
        migrations.AddField(
            model_name="profile",
            name="search",
            field=models.GeneratedField(
                db_persist=True,
                expression=profiles.models.search.SearchText(
                    "first_name", "last_name", "email", "phone", "city", "postcode"
                ),
                output_field=django.contrib.postgres.search.SearchVectorField(),
            ),
        ),
        migrations.AddIndex(
            model_name="profile",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["search"], gin_pending_list_limit=128, name="profile_search"
            ),
        ),
    ]
