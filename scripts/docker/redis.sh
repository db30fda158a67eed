#!/bin/sh
# coin-redis: the password goes into a file that Redis alone reads, then the image's own entrypoint takes over.
set -eu
. /candlehouse/secret.sh

password=$(secret REDIS_PASSWORD redis_password)
conf=/run/candlehouse-redis.conf
umask 077
{
    cat /candlehouse/redis.conf
    printf 'requirepass "%s"\n' "$(printf %s "$password" | sed 's/[\\"]/\\&/g')"
} >"$conf"
chown redis "$conf"
exec docker-entrypoint.sh redis-server "$conf"
