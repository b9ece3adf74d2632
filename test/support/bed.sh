#!/bin/sh
# usage: bed.sh COMMAND [ARG...]
#        bed.sh --enter [COMMAND [ARG...]]   a second command, or a shell, in the bed that is in use
# Runs COMMAND in a machine of its own (the bed): own network, mounts, processes and /run, no way out.
# What is started in there (Docker engines, containers, etcd) is ended by the kernel when COMMAND ends,
# however it ends. The exit code is COMMAND's; 75 means that no bed can be made here, and stderr says why.
set -eu

say() { printf '%s\n' "bed: $*" >&2; }
refuse() {
  say "$*"
  exit 75
}

# The second half, process 1 of the bed: it furnishes the bed, then runs COMMAND and reaps whoever has lost
# its parent. It does not become COMMAND, because the kernel keeps from a process 1 every signal that it has
# no handler for.
if [ "${1-}" = --inside ]; then
  shift
  ip link set lo up
  # The switch that lan.ts plugs its hosts into.
  ip link add lan type bridge
  ip addr add 10.1.0.1/24 dev lan
  ip link set lan up
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir /run/lock /run/netns
  echo 1 >/proc/sys/net/ipv4/ip_forward
  [ ! -e /proc/sys/net/ipv6/conf/all/forwarding ] || echo 1 >/proc/sys/net/ipv6/conf/all/forwarding

  # A shell lets its background children ignore the keyboard's signals and read nothing: both are given back.
  exec 8<&0
  env --default-signal=INT,QUIT -- "$@" <&8 8<&- &
  command_pid=$!
  # The keyboard's signals reach COMMAND by themselves, for it is in the terminal's process group.
  trap : INT QUIT
  trap 'kill -TERM "$command_pid" 2>/dev/null || :' TERM
  trap 'kill -HUP "$command_pid" 2>/dev/null || :' HUP
  while :; do
    code=0
    wait "$command_pid" || code=$?
    # A trapped signal ends the wait early, with the signal's number; COMMAND may still run.
    kill -0 "$command_pid" 2>/dev/null || break
  done
  exit "$code"
fi

[ $# -gt 0 ] || {
  say "usage: bed.sh COMMAND [ARG...] | --enter [COMMAND [ARG...]]"
  exit 64
}
DOCKREG_CACHE=${DOCKREG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dockreg}
if [ "$1" = --enter ]; then
  shift
  unshare_pid=$(cat "$DOCKREG_CACHE/bed.pid" 2>/dev/null) &&
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

mkdir -p "$DOCKREG_CACHE"
DOCKREG_CACHE=$(cd "$DOCKREG_CACHE" && pwd -P)
# Control groups are the one thing that no namespace takes away with it, so the bed's have a name of their own,
# one for each cache.
DOCKREG_BED_CGROUP=/dockreg-bed-$(printf %s "$DOCKREG_CACHE" | cksum | cut -d ' ' -f 1)
export DOCKREG_CACHE DOCKREG_BED_CGROUP

# Two beds would share the engines' data. Every process of the first half of a bed holds this lock, so it is
# free only when they are all gone.
exec 9>"$DOCKREG_CACHE/bed.lock"
flock --nonblock 9 || {
  say "another bed is in use; waiting for it to end"
  flock 9
}

# cgroup v1 has a tree for each controller, v2 has one. The kernel needs a moment to empty the groups of the
# processes that it has just killed.
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

# If this script is killed, unshare dies of the parent-death signal, and the bed with it.
exec 8<&0
env --default-signal=INT,QUIT -- setpriv --pdeathsig KILL \
  unshare --net --mount --pid --fork --kill-child --mount-proc sh "$0" --inside "$@" <&8 8<&- &
unshare_pid=$!
echo "$unshare_pid" >"$DOCKREG_CACHE/bed.pid"
# unshare itself is deaf to these signals: they are for its child.
forward() {
  # The list has no newline at its end, so read calls it cut off although it has it whole.
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
rm -f "$DOCKREG_CACHE/bed.pid"
remove_cgroups
exit "$code"
