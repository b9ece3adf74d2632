#!/bin/sh
# usage: bed.sh COMMAND [ARG...]
#        bed.sh --enter [COMMAND [ARG...]]   a second command, or a shell, in the bed that is in use
# Runs COMMAND in a machine of its own (the bed): own network, mounts, processes and /run, and no network to the
# outside. When COMMAND ends, however it ends, the kernel ends everything that was started in there (Docker engines,
# containers, etcd). The exit code is COMMAND's; 75 means that no bed can be made here, and stderr says why.
# Beds of different names, in $DOCKREG_BED, may run side by side.
set -eu

say() { printf '%s\n' "bed: $*" >&2; }
refuse() {
  say "$*"
  exit 75
}

# The second half, process 1 of the bed: sets the bed up, runs COMMAND, and reaps processes without a parent. It does
# not become COMMAND, because the kernel does not deliver a signal to a process 1 that has no handler for it.
if [ "${1-}" = --inside ]; then
  shift
  ip link set lo up
  # The switch to which lan.ts connects its hosts.
  ip link add lan type bridge
  ip addr add 10.1.0.1/24 dev lan
  ip link set lan up
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir /run/lock /run/netns
  echo 1 >/proc/sys/net/ipv4/ip_forward
  [ ! -e /proc/sys/net/ipv6/conf/all/forwarding ] || echo 1 >/proc/sys/net/ipv6/conf/all/forwarding

  # A shell makes its background children ignore the keyboard's signals and read nothing. Both are undone here.
  exec 8<&0
  env --default-signal=INT,QUIT -- "$@" <&8 8<&- &
  command_pid=$!
  # COMMAND is in the terminal's process group, so the keyboard's signals reach it anyway.
  trap : INT QUIT
  trap 'kill -TERM "$command_pid" 2>/dev/null || :' TERM
  trap 'kill -HUP "$command_pid" 2>/dev/null || :' HUP
  while :; do
    code=0
    wait "$command_pid" || code=$?
    # A trapped signal ends the wait early, with the signal's number. COMMAND may still run.
    kill -0 "$command_pid" 2>/dev/null || break
  done
  exit "$code"
fi

[ $# -gt 0 ] || {
  say "usage: bed.sh COMMAND [ARG...] | --enter [COMMAND [ARG...]]"
  exit 64
}
DOCKREG_CACHE=${DOCKREG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dockreg}
DOCKREG_BED=${DOCKREG_BED:-bed}
if [ "$1" = --enter ]; then
  shift
  unshare_pid=$(cat "$DOCKREG_CACHE/beds/$DOCKREG_BED.pid" 2>/dev/null) &&
    read -r inside </proc/"$unshare_pid"/task/"$unshare_pid"/children || [ -n "${inside-}" ] ||
    refuse "there is no bed in use"
  exec nsenter --target "${inside%% *}" --net --mount --pid -- "${@:-${SHELL:-sh}}"
fi
[ "$(id -u)" = 0 ] || refuse "Docker engines need root; run this as root"
for tool in unshare setpriv flock ip dockerd; do
  command -v "$tool" >/dev/null || refuse "$tool is missing: scripts/setup.sh packages installs it"
done
why=$(unshare --net --mount --pid --fork --kill-child --mount-proc true 2>&1) ||
  refuse "this machine refuses new namespaces: $why"

mkdir -p "$DOCKREG_CACHE/beds"
DOCKREG_CACHE=$(cd "$DOCKREG_CACHE" && pwd -P)
# Control groups are the only thing that does not disappear with a namespace, so the bed's have their own name, one for
# each bed of each cache.
DOCKREG_BED_CGROUP=/dockreg-bed-$(printf %s "$DOCKREG_CACHE/$DOCKREG_BED" | cksum | cut -d ' ' -f 1)
export DOCKREG_CACHE DOCKREG_BED DOCKREG_BED_CGROUP

# Two beds of one name would share the engines' data. Every process of the first half of a bed holds this lock, so it is
# free only when they are all gone.
exec 9>"$DOCKREG_CACHE/beds/$DOCKREG_BED.lock"
flock --nonblock 9 || {
  say "another bed is in use; waiting for it to end"
  flock 9
}

# cgroup v1 has a tree for each controller, v2 has one. The kernel needs a moment to empty the groups of processes that
# it has just killed.
remove_cgroups() {
  tries=0
  while [ $tries -lt 50 ]; do
    left=
    for group in /sys/fs/cgroup"$DOCKREG_BED_CGROUP" /sys/fs/cgroup/*"$DOCKREG_BED_CGROUP"; do
      [ -d "$group" ] || continue
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || left=$group
    done
    [ -n "$left" ] || return 0
    tries=$((tries + 1))
    sleep 0.1
  done
  say "cannot remove $left"
}
remove_cgroups

# If this script is killed, unshare receives the parent-death signal, and the bed ends with it.
exec 8<&0
env --default-signal=INT,QUIT -- setpriv --pdeathsig KILL \
  unshare --net --mount --pid --fork --kill-child --mount-proc sh "$0" --inside "$@" <&8 8<&- &
unshare_pid=$!
echo "$unshare_pid" >"$DOCKREG_CACHE/beds/$DOCKREG_BED.pid"
# unshare itself ignores these signals, so they go to its child.
forward() {
  # The list has no newline at its end, so read fails although it has read all of it.
  read -r inside </proc/$unshare_pid/task/$unshare_pid/children || :
  [ -z "$inside" ] || kill "-$1" "$inside" || :
}
trap : INT QUIT
trap 'forward TERM' TERM
trap 'forward HUP' HUP
while :; do
  code=0
  wait "$unshare_pid" || code=$?
  kill -0 "$unshare_pid" 2>/dev/null || break
done
rm -f "$DOCKREG_CACHE/beds/$DOCKREG_BED.pid"
remove_cgroups
exit "$code"
