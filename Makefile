# make run    the product at http://127.0.0.1:8000 with its own PostgreSQL and Redis (PORT=, CDP_DATA=, CDP_DEMO=0)
# make test   every test; make lint, make bench, make soak; make lock pins the dependencies anew
#
# DATABASE_URL, CELERY_BROKER_URL and EMAIL_URL, where set, take the place of the local servers.

SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
# Keyed on the contents: a new lock file installs anew, a checkout that only touches it does not.
RUN_STAMP := $(VENV)/installed-run-$(shell cat requirements.lock | cksum | cut -d' ' -f1)
DEV_STAMP := $(VENV)/installed-dev-$(shell cat requirements-dev.lock | cksum | cut -d' ' -f1)
PIP := $(PY) -m pip --disable-pip-version-check -qq install --require-hashes
TESTS ?= tests
PYTEST := $(PY) -m pytest -n 2 --dist loadgroup

# What a production machine sets; the checks must be silent with it.
PRODUCTION := SECRET_KEY=for-the-check-alone-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMN \
	ALLOWED_HOSTS=cdp.example.com CDP_URL=https://cdp.example.com DEFAULT_FROM_EMAIL=cdp@example.com \
	BEHIND_PROXY=1 DATABASE_URL=postgres://cdp@db.example.com/cdp?sslmode=verify-full CELERY_BROKER_URL=rediss://:x@redis.example.com/0?ssl_cert_reqs=required \
	EMAIL_URL=smtp+tls://cdp:x@mail.example.com:587 CDP_DATA=$(VENV)/production

.PHONY: run test lint bench soak screenshots lock snippet install install-dev

run: install
	@exec $(PY) -m cdp.local

test: install-dev
	@$(PY) -m cdp.local exec -- $(PYTEST) -m "not soak and not bench" $(TESTS)

soak: install-dev
	@$(PY) -m cdp.local exec -- $(PY) -m pytest -m soak --timeout 7200 $(TESTS)

bench: install-dev
	@LOG_LEVEL=WARNING $(PY) -m cdp.local exec --durable -- $(PY) -m pytest -v -m bench --timeout 7200 -p no:randomly $(TESTS)

# The pictures of docs/, made anew from demo data; needs Chromium.
screenshots: install-dev
	@$(PY) -m tests.screenshots

lint: install-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy .
	$(VENV)/bin/lint-imports
	@$(PY) -m cdp.local exec -- $(PY) manage.py makemigrations --check --dry-run
	@env $(PRODUCTION) $(PY) manage.py check --deploy --fail-level WARNING

install: $(RUN_STAMP)
install-dev: $(DEV_STAMP)

$(VENV)/bin/activate:
	@python=; for name in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	  if "$$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 or newer with venv is needed (Debian: apt install python3 python3-venv)." >&2; exit 1; fi; \
	echo "creating $(VENV) with $$($$python --version) …"; "$$python" -m venv $(VENV)

# Also renews an environment whose Python went away with its folder.
$(RUN_STAMP): | $(VENV)/bin/activate
	@$(PY) -c '' 2>/dev/null || { rm -rf $(VENV) && $(MAKE) --no-print-directory $(VENV)/bin/activate; }
	@test -e $(DEV_STAMP) || { echo "installing requirements.lock …"; $(PIP) -r requirements.lock; }
	@rm -f $(VENV)/installed-run-* && touch $@

$(DEV_STAMP): | $(VENV)/bin/activate
	@$(PY) -c '' 2>/dev/null || { rm -rf $(VENV) && $(MAKE) --no-print-directory $(VENV)/bin/activate; }
	@echo "installing requirements-dev.lock …"
	@$(PIP) -r requirements-dev.lock
	@rm -f $(VENV)/installed-dev-* && touch $@

# Needs the network. Addresses of package indexes never go into the files.
LOCK := $(VENV)/lock/bin/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host \
	--no-emit-find-links --strip-extras --allow-unsafe --no-header
lock: $(VENV)/bin/activate
	@test -x $(VENV)/lock/bin/pip-compile || { $(PY) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip -q install pip-tools; }
	$(LOCK) --all-extras -o requirements-dev.lock pyproject.toml
	$(LOCK) -c requirements-dev.lock -o requirements.lock pyproject.toml

# cdp.min.js anew out of cdp.js. Needs the network; only whoever changes the snippet needs the minifier.
snippet: $(VENV)/bin/activate
	@test -x $(VENV)/minify/bin/python || { $(PY) -m venv $(VENV)/minify && \
	  $(VENV)/minify/bin/pip -q --disable-pip-version-check install tdewolff-minify==2.24.12; }
	@$(VENV)/minify/bin/python profiles/tracking/snippet/build.py
