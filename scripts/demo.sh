#!/bin/sh
# npm run demo, npm run demo:two-hosts: installs what a demo needs, builds, and runs the demo. See demo/.
# usage: demo.sh one-host|two-hosts [OPTION...]
# The demos run on containers in the test bed (test/support/bed.sh). Where no bed can be made, the demo of one host runs
# on plain processes.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "demo: $*" >&2; }

demo=$1
shift
sh scripts/setup.sh npm build
if sh scripts/setup.sh packages && sh scripts/setup.sh image-base; then
  code=0
  sh test/support/bed.sh node "build/demo/$demo/demo.js" "$@" || code=$?
  [ "$code" = 75 ] || exit "$code"
fi

[ "$demo" = one-host ] || {
  say "no Docker engine can be started here, and this demo needs two of them"
  exit 69
}
say "no Docker engine can be started here, so the demo runs on plain processes"
for tool in etcd supervisord; do
  command -v "$tool" >/dev/null || {
    say "$tool is missing; as root: apt-get install etcd-server supervisor"
    exit 69
  }
done
exec node build/demo/one-host/demo.js --processes "$@"
