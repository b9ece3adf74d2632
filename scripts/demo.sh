#!/bin/sh
# npm run demo, npm run demo:two-hosts: everything that a story needs, then the story. See demo/.
# usage: demo.sh one-host|two-hosts [OPTION...]
# On containers in a machine of their own (test/support/bed.sh); where that cannot be made, the story of one host is
# shown on plain processes.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "demo: $*" >&2; }

story=$1
shift
sh scripts/setup.sh npm build
if sh scripts/setup.sh packages && sh scripts/setup.sh image-base; then
  code=0
  sh test/support/bed.sh node "build/demo/$story/demo.js" "$@" || code=$?
  [ "$code" = 75 ] || exit "$code"
fi

[ "$story" = one-host ] || {
  say "no Docker engine can be started here, and this story is about two of them"
  exit 69
}
say "no Docker engine can be started here, so the story is shown on plain processes"
for tool in etcd supervisord; do
  command -v "$tool" >/dev/null || {
    say "$tool is missing; as root: apt-get install etcd-server supervisor"
    exit 69
  }
done
exec node build/demo/one-host/demo.js --processes "$@"
