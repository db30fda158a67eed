#!/bin/sh
# coin-psql: looks whether the data folder is one to open, or one to be made; then the image's own entrypoint takes over.
set -eu
. /candlehouse/secret.sh

data=${PGDATA:-/var/lib/postgresql/data}
ours=$(postgres --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
needed_mb=512

secret POSTGRES_PASSWORD postgres_password >/dev/null
if [ -s "$data/PG_VERSION" ]; then
    theirs=$(cat "$data/PG_VERSION")
    [ "$theirs" = "$ours" ] || refuse "The data in local_data/_postgresql/data is PostgreSQL $theirs's and this is $ours: it was not touched. Move the folder away and start anew; docs/troubleshooting.md says how to take the candles along."
else
    free_mb=$(($(df -Pk "$data" | awk 'END { print $4 }') / 1024))
    [ "$free_mb" -ge "$needed_mb" ] || refuse "local_data/_postgresql/data has $free_mb MB free and PostgreSQL needs $needed_mb to begin with: make room on that disk."
fi

# The superuser is for this container alone, by its own socket: nobody ever knows this word.
POSTGRES_PASSWORD=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export POSTGRES_PASSWORD
exec docker-entrypoint.sh postgres "$@"
