"""The audit log accepts new rows and, once per row, its seal. Nothing else, whoever asks.

TRUNCATE is refused too, except where the session says ``cdp.may_empty_audit = on``: the test runner
empties its own database that way (settings.py), and nothing else does.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION cdp_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('cdp.may_empty_audit', true) = 'on' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.sealed IS NULL AND NEW.sealed IS NOT NULL
       AND to_jsonb(OLD) - 'sealed' - 'digest' = to_jsonb(NEW) - 'sealed' - 'digest' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The audit log is append-only: % refused.', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER cdp_audit_append_only BEFORE UPDATE OR DELETE ON cdp_auditentry
    FOR EACH ROW EXECUTE FUNCTION cdp_audit_append_only();
CREATE TRIGGER cdp_audit_not_emptied BEFORE TRUNCATE ON cdp_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION cdp_audit_append_only();
"""
DROP = """
DROP TRIGGER cdp_audit_append_only ON cdp_auditentry;
DROP TRIGGER cdp_audit_not_emptied ON cdp_auditentry;
DROP FUNCTION cdp_audit_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("cdp", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, DROP)]
