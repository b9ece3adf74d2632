#!/bin/sh
# npm run demo: everything that it needs, then the story. See demo/demo.ts.
# On containers in a machine of their own (test/support/bed.sh); where that cannot be made, on plain processes.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "demo: $*" >&2; }

sh scripts/setup.sh npm build
if sh scripts/setup.sh packages && sh scripts/setup.sh image-base; then
  code=0
  sh test/support/bed.sh node build/demo/demo.js "$@" || code=$?
  [ "$code" = 75 ] || exit "$code"
fi

say "no Docker engine can be started here, so the story is shown on plain processes"
for tool in etcd supervisord; do
  command -v "$tool" >/dev/null || {
    say "$tool is missing; as root: apt-get install etcd-server supervisor"
    exit 69
  }
done
exec node build/demo/demo.js --processes "$@"
