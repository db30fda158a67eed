#!/bin/sh
# Writes .env with random secrets where it has none, from .example_env when there is no .env yet. It changes no value that is set.
#   sh scripts/secrets.sh
set -eu
cd "$(dirname "$0")/.."
umask 077

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

written=
add() {
    if ! grep -q "^$1=." .env; then
        sed "/^#\{0,1\}$1=$/d" .env >.env.new
        echo "$1=$2" >>.env.new
        mv .env.new .env
        written="$written $1"
    fi
}

[ -e .env ] || cp .example_env .env
chmod 600 .env
for name in POSTGRES_PASSWORD REDIS_PASSWORD WEB_TOKEN GRAFANA_PASSWORD; do
    add "$name" "$(random)"
done
# Where the Docker Engine listens, so that coin-heal may start again what `docker kill` ended.
socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
if [ -S "${socket#unix://}" ] && ! grep -q '^DOCKER_SOCKET=' .env; then # an empty one was emptied on purpose
    add DOCKER_SOCKET "${socket#unix://}"
fi

if [ -n "$written" ]; then
    echo "Wrote$written into .env, which only you can read."
else
    echo "Every secret stands in .env already; nothing was changed."
fi
