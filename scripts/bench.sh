#!/bin/sh
# npm run bench [-- FLAG...]: measures dockreg on real containers (test/bench/container.ts). `--help` lists the flags.
# With --base, it also checks out and builds another commit in a temporary git worktree. The worktree, its images and
# all temporary files are removed at the end, also after Ctrl-C or a failure.
set -eu
cd "$(dirname "$0")/.."

usage() {
  cat <<'END'
usage: npm run bench [-- FLAG...]
  --base COMMIT      measures this commit too, in alternating runs, and prints both with their ratio
  --runs N           repeats each measurement of time N times (default 10);
                     CPU and memory are measured on N containers of a kind, but at most 3
  --settle SECONDS   waits so long before CPU and memory are measured (default 60)
  --seconds SECONDS  measures CPU for so long (default 60)
  --help             prints this text
END
}
say() { printf '%s\n' "bench: $*" >&2; }
refuse() {
  say "$*; npm run bench -- --help lists the flags"
  exit 64
}

base='' runs=10 settle=60 seconds=60
# check_number FLAG VALUE LEAST
check_number() {
  case $2 in
    '' | *[!0-9]* | ???????*) refuse "$1 $2: must be a whole number from $3 to 999999" ;;
  esac
  [ "$2" -ge "$3" ] || refuse "$1 $2: must be a whole number from $3 to 999999"
}
while [ $# -gt 0 ]; do
  case $1 in
    --*=*)
      flag=${1%%=*} value=${1#*=}
      shift
      ;;
    --help | -h)
      usage
      exit
      ;;
    --base | --runs | --settle | --seconds)
      [ $# -ge 2 ] || refuse "$1 needs a value"
      flag=$1 value=$2
      shift 2
      ;;
    *) refuse "there is no flag $1" ;;
  esac
  case $flag in
    --base)
      base=$(git rev-parse --verify --quiet --end-of-options "$value^{commit}") ||
        refuse "--base $value: git finds no such commit"
      ;;
    --runs) check_number "$flag" "$value" 1 && runs=$value ;;
    --settle) check_number "$flag" "$value" 0 && settle=$value ;;
    --seconds) check_number "$flag" "$value" 1 && seconds=$value ;;
    *) refuse "there is no flag $flag" ;;
  esac
done

work=''
clean() {
  [ -n "$work" ] || return 0
  # An interrupted compiler may go on writing for a moment.
  tries=0
  while [ $tries -lt 100 ] && readlink /proc/[0-9]*/cwd 2>/dev/null | grep -q "^$work/"; do
    tries=$((tries + 1))
    sleep 0.1
  done
  git worktree remove --force "$work/base" 2>/dev/null || :
  rm -rf "$work"
  # Needed only if git was interrupted while it added or removed the worktree.
  git worktree prune
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

sh scripts/setup.sh npm build packages image-base
if [ -n "$base" ]; then
  say "building $(git log -1 --format='%h %s' "$base")"
  work=$(mktemp -d)
  git worktree add --quiet --detach "$work/base" "$base"
  if cmp -s package-lock.json "$work/base/package-lock.json"; then
    cp -a node_modules "$work/base/"
    # Newer than the lock file: setup.sh installs nothing.
    touch "$work/base/node_modules/.package-lock.json"
  fi
  (cd "$work/base" && sh scripts/setup.sh build)
fi

# In the background, so that a signal to this script alone reaches the bed at once and not when it has ended.
env --default-signal=INT,QUIT -- sh test/support/bed.sh node build/test/bench/container.js \
  --runs "$runs" --settle "$settle" --seconds "$seconds" ${work:+--base "$work/base"} &
bed=$!
# The keyboard's signal reaches the bed by itself, because it is in the same process group.
trap : INT
trap 'kill -TERM "$bed" 2>/dev/null || :' TERM HUP
while :; do
  code=0
  wait "$bed" || code=$?
  # A trapped signal ends the wait early, with the signal's number. The bed may still run.
  kill -0 "$bed" 2>/dev/null || break
done
exit "$code"
