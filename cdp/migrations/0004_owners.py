"""Keys have an owner; keys and jobs of the system are marked as such, and no longer known by naming nobody.

A job that names nobody and needs a right was somebody's whose login is gone: it stays nobody's. A key without a maker
whose making the audit log credits to a login likewise.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


KEYS = """
UPDATE cdp_apikey SET owner_id = created_by_id WHERE created_by_id IS NOT NULL;
UPDATE cdp_apikey k SET is_system = true
WHERE k.created_by_id IS NULL AND NOT EXISTS (
    SELECT FROM cdp_auditentry a
    WHERE a.subject = 'key:' || k.id AND a.action = 'key.create' AND a.user_id IS NOT NULL);
"""
JOBS = "UPDATE cdp_job SET is_system = true WHERE user_id IS NULL AND key_id IS NULL AND permission = '';"
# The checks of the new foreign key are due now: the table is altered once more below.
CHECKED = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;"


class Migration(migrations.Migration):
    dependencies = [
        ('cdp', '0003_api_key_use'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='is_system',
            field=models.BooleanField(default=False, help_text="Made on the machine's command line: it belongs to no login."),
        ),
        migrations.AddField(
            model_name='apikey',
            name='owner',
            field=models.ForeignKey(blank=True, help_text='The login that answers for this key; while it is deactivated, the key is refused.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='api_keys', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='job',
            name='is_system',
            field=models.BooleanField(default=False, help_text='Started by the system itself. A job of nobody that is not may do nothing.'),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='job',
            name='key',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='cdp.apikey'),
        ),
        migrations.AlterField(
            model_name='job',
            name='user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to=settings.AUTH_USER_MODEL),
        ),
        migrations.RunSQL([KEYS, JOBS, CHECKED], migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('is_system', False), ('owner__isnull', True), _connector='OR'), name='api_key_of_system_has_no_owner'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('is_system', False), models.Q(('key__isnull', True), ('user__isnull', True)), _connector='OR'), name='job_of_system_is_nobody_elses'),
        ),
    ]
