"""Every setting comes from the environment; nothing is read from a second settings file.

`make run` and `make test` fill the environment from the local servers they start (cdp/local).
In production set at least SECRET_KEY, ALLOWED_HOSTS, DATABASE_URL, CELERY_BROKER_URL and EMAIL_URL;
`manage.py check --deploy` and `manage.py doctor` name whatever is missing.
"""

import sys
from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF
from django.urls import reverse_lazy
from environs import FileAwareEnv
from kombu import Exchange, Queue

from cdp.mail_url import mail_settings

# SECRET_KEY_FILE, DATABASE_URL_FILE … name a file that holds the value instead.
env = FileAwareEnv()

BASE_DIR = Path(__file__).resolve().parent.parent
CDP_DATA = Path(env.str("CDP_DATA", str(BASE_DIR / "var"))).resolve()

DEBUG = env.bool("DEBUG", False)
TESTING = "pytest" in sys.modules
DEFAULT_SECRET_KEY = "insecure-local-key"  # noqa: S105  (the one the checks refuse)
# A check (cdp.E001) refuses this default outside local runs.
SECRET_KEY = env.str("SECRET_KEY", DEFAULT_SECRET_KEY)
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [])
# Set by cdp/local: the one place where a generated key, plain HTTP and the local mailbox are fine.
CDP_LOCAL = env.bool("CDP_LOCAL", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "cdp",
    "profiles",
    "segments",
    "imports",
    "cdp.apps.CdpAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_htmx",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "import_export",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "cdp.middleware.RequestContext",
    "django.middleware.security.SecurityMiddleware",
    # Above the static files, so that these have its header, too.
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "cdp.middleware.UnavailableDatabase",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "cdp.sessions.LastSeen",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "cdp.middleware.NoStore",
    "axes.middleware.AxesMiddleware",
    "cdp.looks.RecordLooks",
]

ROOT_URLCONF = "cdp.urls"
WSGI_APPLICATION = "cdp.wsgi.application"
AUTH_USER_MODEL = "cdp.User"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
# Our admin templates must win over the stock ones for the form renderer as well.
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
INSTALLED_APPS.insert(0, "django.forms")

# --- Database ------------------------------------------------------------------------------------
DATABASES = {"default": env.dj_db_url("DATABASE_URL", "postgres:///cdp")}
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["OPTIONS"]["connect_timeout"] = 5
# Statements of cdp.sql are parsed and planned once for each connection. Off behind a pooler that lends a
# connection for one transaction and keeps no prepared statements (PgBouncer before 1.21).
if env.bool("DB_PREPARED_STATEMENTS", True):
    DATABASES["default"]["OPTIONS"]["prepare_threshold"] = 2
# A bounded pool per web process: more requests than connections wait, then answer 503, never hang.
DB_POOL_SIZE = env.int("DB_POOL_SIZE", 0)
if DB_POOL_SIZE and not TESTING:
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": DB_POOL_SIZE,
        "timeout": 5,
    }
elif not TESTING:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
# A connection that broke while nobody used it is replaced before it is used, at the cost of an empty statement.
DATABASES["default"]["CONN_HEALTH_CHECKS"] = not TESTING
if TESTING:
    # The one session that may empty the audit log (cdp/migrations/0002): a test database is flushed.
    DATABASES["default"]["OPTIONS"]["options"] = "-c cdp.may_empty_audit=on"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Celery: starts workers on jobs, whose rows are the truth ---------------------------------------------------------
# What people start and wait for has a queue of its own (cdp.jobs picks it); beat's tasks, the jobs they start, and scans
# go to `housekeeping`. A worker without --queues takes from both.
CELERY_TASK_QUEUES = tuple(Queue(name, Exchange(name), name) for name in ("jobs", "housekeeping"))
CELERY_TASK_DEFAULT_QUEUE = "housekeeping"
CELERY_TASK_ROUTES = {"cdp.tasks.run_job": {"queue": "jobs"}}
CELERY_BEAT_SCHEDULER = "cdp.beat:BoundedScheduler"
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
CELERY_TASK_IGNORE_RESULT = True
# A worker takes a message only when it has a process for it.
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# For ever; by default a worker leaves after an hour without broker.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A Redis that is full or refuses to write counts as a lost connection: come back, try again.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
if CELERY_BROKER_URL.startswith(("redis", "rediss")):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        # Redis keeps no copy of a message that a worker took: whatever a killed worker leaves behind the sweeper finds.
        # Putting copies back when the connection breaks ends a worker whose Redis is away (kombu 5.7).
        "ack_emulation": False,
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
    }
# A job whose worker went silent is taken over after its lease, at the next sweep: 40 s at most.
CDP_JOB_LEASE_SECONDS = env.float("CDP_JOB_LEASE_SECONDS", 30.0)
CDP_JOB_SLICE_SECONDS = env.float("CDP_JOB_SLICE_SECONDS", 40.0)
CDP_JOB_SWEEP_SECONDS = env.float("CDP_JOB_SWEEP_SECONDS", 10.0)
CELERY_BEAT_SCHEDULE_FILENAME = env.str("CELERY_BEAT_SCHEDULE_FILENAME", str(CDP_DATA / "beat"))

# --- Mail ------------------------------------------------------------------------------------------
# Without EMAIL_URL mail is kept in the local mailbox, a page inside the admin.
EMAIL_URL = env.str("EMAIL_URL", "")
EMAIL_BACKEND = "cdp.mail.MailboxBackend"
if EMAIL_URL:
    vars().update(mail_settings(EMAIL_URL))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "cdp@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
# Where links in mails point.
CDP_URL = env.str("CDP_URL", "http://127.0.0.1:8000")

# --- Files -----------------------------------------------------------------------------------------
MEDIA_ROOT = CDP_DATA / "files"
# Beside the stored files, so that storing an upload is a rename; swept of what killed requests left.
FILE_UPLOAD_TEMP_DIR = env.str("FILE_UPLOAD_TEMP_DIR", str(CDP_DATA / "incoming"))
FILE_UPLOAD_HANDLERS = ["cdp.uploads.FileUploadHandler"]
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
STATIC_URL = "static/"
STATIC_ROOT = CDP_DATA / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING or DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# Tests and DEBUG serve the files where they lie; elsewhere collectstatic has gathered them.
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = TESTING or DEBUG

# --- Security --------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "manifest-src": [SELF],
        "report-uri": ["/csp-report/"],
    }
}
# Browsers are spoken to over HTTPS everywhere but on a developer's own machine.
HTTPS = env.bool("HTTPS", not (CDP_LOCAL or DEBUG or TESTING))
# What a proxy says about a request (address, HTTPS) is believed of these alone (cdp.client_address).
BEHIND_PROXY = env.bool("BEHIND_PROXY", False)
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", ["127.0.0.0/8", "::1"])
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_SSL_REDIRECT = HTTPS
# SDKs repeat a redirected POST as GET, and a program that is redirected never notices that it sends its key in plain text:
# what programs call answers plain HTTP with a 403 instead.
_TRACKING = r"^(?:v1/|beacon/|api/s/|sourceConfig/?$)"
_API = r"^api/(?!v1/(?:docs|schema)/?$)"
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$", _TRACKING, _API]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS else "sessionid"
SESSION_ENGINE = "cdp.sessions"
# A session ends so many hours after its login, and before that when nobody used it for so many minutes.
SESSION_COOKIE_AGE = env.int("CDP_SESSION_HOURS", 12) * 3600
CDP_SESSION_IDLE_MINUTES = env.int("CDP_SESSION_IDLE_MINUTES", 120)
# What gives access or hands out many people's data asks for the password again, unless it was given so recently.
CDP_CONFIRM_MINUTES = env.int("CDP_CONFIRM_MINUTES", 15)
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
CSRF_COOKIE_HTTPONLY = True
MESSAGE_STORAGE = "cdp.message_cookie.MessageStorage"
X_FRAME_OPTIONS = "DENY"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = reverse_lazy("admin:login")
# Links by which a password is set: of an invitation, and of a forgotten one.
PASSWORD_RESET_TIMEOUT = 24 * 3600

# Wrong passwords (cdp/lockout.py). After this many in a row, a login waits at that address, and an address altogether;
# a login that is tried from everywhere waits at addresses it was not used from before.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
CDP_LOCKOUT_ADDRESS_FAILURES = 20
CDP_LOCKOUT_LOGIN_FAILURES = 50
AXES_COOLOFF_TIME = timedelta(minutes=env.int("CDP_LOCKOUT_MINUTES", 15))
# Who goes on trying while locked out does not make it longer: nobody keeps somebody else out for ever.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_HANDLER = "cdp.lockout.LockoutHandler"
AXES_CLIENT_IP_CALLABLE = "cdp.lockout.network_of_request"
AXES_USERNAME_CALLABLE = "cdp.lockout.name_of"
AXES_LOCKOUT_CALLABLE = "cdp.lockout.locked_out_response"
# Logins are in the audit log; the library's own pages and verbose lines would show addresses.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# django-import-export serves lookup tables only, and only to those who may change them.
IMPORT_EXPORT_IMPORT_PERMISSION_CODE = "add"
IMPORT_EXPORT_EXPORT_PERMISSION_CODE = "change"
IMPORT_EXPORT_USE_TRANSACTIONS = True
IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True
IMPORT_EXPORT_SKIP_ADMIN_LOG = False

# --- Language and time -----------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TIME_ZONE", "UTC")
USE_TZ = True
USE_I18N = False
USE_THOUSAND_SEPARATOR = True

# --- REST ------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "cdp.api.ApiKeyAuthentication",
        "cdp.api.StaffSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["cdp.api.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["cdp.api.OrjsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["cdp.api.StrictJSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["cdp.api.KeyThrottle"],
    "DEFAULT_PAGINATION_CLASS": "cdp.api.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "cdp.api.openapi.EndpointSchema",
    "EXCEPTION_HANDLER": "cdp.api.problem",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
API_RATE_PER_MINUTE = env.int("API_RATE_PER_MINUTE", 6000)
# Tracking calls a minute and write key, each a batch of up to 2,500 items; 0 for any number.
TRACK_RATE_PER_MINUTE = env.int("TRACK_RATE_PER_MINUTE", 300_000)
SPECTACULAR_SETTINGS = {
    "TITLE": "Customer data platform",
    "DESCRIPTION": "One profile per person: find, import, merge, un-merge, explain, export, erase.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    # Not JSON, since it names the plugin of cdp/static/cdp/api_docs.js.
    # Topics are closed at first: from 150 open calls on, Swagger UI only draws those in sight, which a reader's search in
    # the page does not find.
    "SWAGGER_UI_SETTINGS": (
        '{deepLinking: true, docExpansion: "none", syntaxHighlight: {theme: "obsidian"}, plugins: [window.accessible]}'
    ),
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ImportKindEnum": "imports.models.Import.Kind",
        "ImportStateEnum": "imports.models.Import.State",
    },
    "PREPROCESSING_HOOKS": ["cdp.api.openapi.without_duplicate_slashes"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "cdp.api.openapi.with_dry_runs",
        "cdp.api.openapi.with_guide",
    ],
}

# --- The product -----------------------------------------------------------------------------------
# Which identifier comes first: "customer_id_first" (an e-mail change never makes a new profile) or
# "email_first". Chosen once on the setup page; this is only what a fresh database starts with.
CDP_IDENTITY_PRESET = env.str("CDP_IDENTITY_PRESET", "customer_id_first")
# Region that phone numbers without a country code are read in, ISO 3166 alpha-2 or empty for none.
CDP_PHONE_REGION = env.str("CDP_PHONE_REGION", "")
# Receipts of tracking calls go after so many days; events stay.
CDP_RECEIPT_KEEP_DAYS = env.int("CDP_RECEIPT_KEEP_DAYS", 90)
# Rejected items that nobody dealt with go after so many days.
CDP_REJECTED_KEEP_DAYS = env.int("CDP_REJECTED_KEEP_DAYS", 365)
# Mails that were sent or given up, and jobs that ended, go after so many days.
CDP_MAIL_KEEP_DAYS = env.int("CDP_MAIL_KEEP_DAYS", 90)
CDP_JOB_KEEP_DAYS = env.int("CDP_JOB_KEEP_DAYS", 180)
# Who looked at whom is kept for so many days; what was done to people stays in the audit log.
CDP_LOOK_KEEP_DAYS = env.int("CDP_LOOK_KEEP_DAYS", 365)
# Circuit breaker: a value that would lead to this many recognized people, or an id that comes with this many names or
# e-mail addresses, is queued for review by tracking and left out by imports.
CDP_BREAKER_PEOPLE = env.int("CDP_BREAKER_PEOPLE", 5)
# Traits nobody registered become attributes until there are this many; then they stay in their events.
CDP_ADOPTED_ATTRIBUTES = env.int("CDP_ADOPTED_ATTRIBUTES", 200)
# Send one extra mail per this many imported profiles; 0 sends the summary alone.
CDP_IMPORT_MAIL_EVERY = env.int("CDP_IMPORT_MAIL_EVERY", 0)
CDP_IMPORT_MAX_BYTES = env.int("CDP_IMPORT_MAX_BYTES", 2 * 1024**3)
# The uploaded file and its rows go so many days after an import's end; its counts stay.
CDP_IMPORT_KEEP_DAYS = env.int("CDP_IMPORT_KEEP_DAYS", 30)
# Webhooks go to public networks over HTTPS only; a receiver under development on this machine needs this.
CDP_WEBHOOK_ALLOW_LOOPBACK = env.bool("CDP_WEBHOOK_ALLOW_LOOPBACK", False)

# --- Logs: JSON lines, no personal data --------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "context": {"()": "cdp.logs.ContextFilter"},
        "serving": {"()": "cdp.logs.ServingFilter"},
    },
    "formatters": {
        "json": {"()": "cdp.logs.JsonFormatter"},
        "plain": {"format": "%(levelname)s %(name)s %(message)s"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "plain" if DEBUG or TESTING else "json",
            "filters": ["context"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.server": {"handlers": [], "propagate": True, "filters": ["context"]},
        # Names the path of each wrong password; the audit log has them.
        "axes": {"level": "ERROR"},
        # They name the path of a failed request; where it is hidden, no further handler gets to see it.
        **{name: {"filters": ["context"]} for name in ("django.request", "django.security.csrf")},
        "waitress": {"filters": ["serving"]},
        # A line for each request that waits for a thread.
        "waitress.queue": {"level": "ERROR"},
        # Every task that came and went, every ten seconds; what fails is louder than this.
        **{
            name: {"level": "WARNING"}
            for name in ("celery.app.trace", "celery.worker.strategy", "celery.beat")
        },
    },
}
