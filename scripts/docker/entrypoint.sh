#!/bin/sh
# PID 1 begins here, as root where Docker says nothing else: the mounted folders get their owner, then root is left for good.
set -eu
if [ "$(id -u)" != 0 ]; then
    exec tini -g -- "$@"
fi
for folder in /candlehouse/logs /candlehouse/backups /var/lib/candlehouse; do
    find "$folder" ! -user candlehouse -exec chown candlehouse:candlehouse {} +
done
export HOME=/home/candlehouse USER=candlehouse
exec setpriv --reuid=candlehouse --regid=candlehouse --init-groups --inh-caps=-all -- tini -g -- "$@"
