"""Which identifier types prove by different values that two profiles are two people; none as shipped."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("profiles", "0003_tracking_lists")]
    operations = [
        migrations.AddField(
            model_name="identifiertype",
            name="proves_two_people",
            field=models.BooleanField(
                default=False,
                help_text="On: two with different values are never suggested as one person, as with a national id. Off:"
                " duplicates often have two customer numbers, so different ones rule nothing out.",
                verbose_name="different values prove two people",
            ),
        ),
    ]
