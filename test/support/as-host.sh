#!/bin/sh
# usage: as-host.sh FOLDER COMMAND [ARG...]
# Runs COMMAND in the bed with its own copies of the files that scripts/host.sh writes: FOLDER keeps its /etc/default
# and its /var/lib/etcd. Its `systemctl` is the one in as-host/. The caller chooses network and engine.
set -eu

AS_HOST_FOLDER=$1
export AS_HOST_FOLDER
shift
stand_ins=$(cd "$(dirname "$0")/as-host" && pwd)
PATH=$stand_ins:$PATH

mkdir -p "$AS_HOST_FOLDER/default" "$AS_HOST_FOLDER/etcd"
chown etcd: "$AS_HOST_FOLDER/etcd"
# shellcheck disable=SC2016  # expanded by the inner shell
exec unshare --mount sh -c '
  mount --bind "$AS_HOST_FOLDER/default" /etc/default
  mount --bind "$AS_HOST_FOLDER/etcd" /var/lib/etcd
  exec "$@"' sh "$@"
