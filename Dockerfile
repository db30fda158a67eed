# The image of coin-app. From the project's folder: docker compose build

# ---- Python packages, from the lock alone ----------------------------------------------------------------------------
FROM python:3.13-slim-trixie AS packages
COPY requirements-image.lock /
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/candlehouse \
 && /opt/candlehouse/bin/pip install --quiet --disable-pip-version-check --require-hashes -r /requirements-image.lock \
 && /opt/candlehouse/bin/pip uninstall --quiet --yes pip

# ---- The chart libraries, from their lock ----------------------------------------------------------------------------
FROM node:22-trixie-slim AS browser
WORKDIR /browser
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --no-audit --no-fund --loglevel=error

# ---- PostgreSQL's clients without what surrounds them in Debian's package --------------------------------------------
FROM python:3.13-slim-trixie AS clients
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends postgresql-client-17 >/dev/null \
 && mkdir /clients \
 && cp /usr/lib/postgresql/17/bin/psql /usr/lib/postgresql/17/bin/pg_dump /usr/lib/postgresql/17/bin/pg_restore /clients

# ---- The image -------------------------------------------------------------------------------------------------------
FROM python:3.13-slim-trixie
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        less libpq5 libreadline8t64 procps redis-tools tini tmux >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/* \
 && useradd --uid 1000 --create-home --shell /bin/bash candlehouse \
 && install -d -o candlehouse -g candlehouse /candlehouse/logs /candlehouse/backups /var/lib/candlehouse \
 && ln -s /candlehouse /coin-for-rich

COPY --from=clients /clients/ /usr/local/bin/
COPY --from=packages /opt/candlehouse /opt/candlehouse
COPY --from=browser /browser/node_modules /candlehouse/node_modules

ENV PATH=/candlehouse/scripts/docker/bin:/opt/candlehouse/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/candlehouse PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    LANG=C.UTF-8 TZ=UTC DATA_DIR=/var/lib/candlehouse LOG_DIR=/candlehouse/logs \
    PYTEST_ADDOPTS="-p no:cacheprovider"
WORKDIR /candlehouse
COPY scripts/docker/bashrc /etc/bash.bashrc
COPY . .
RUN python -m compileall -q app celery_app common fetchers scripts tests web

VOLUME ["/candlehouse/logs", "/candlehouse/backups"]
EXPOSE 8000 5566
# Never /ready: an exchange's outage must restart nothing.
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=6 \
    CMD ["python", "-c", "import urllib.request as ask; ask.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["/candlehouse/scripts/docker/entrypoint.sh"]
CMD ["python", "-m", "scripts.docker.start"]
