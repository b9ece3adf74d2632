#!/bin/sh
# Brings a fresh machine to where the project's commands can run; each step does nothing when its work is done.
# usage: setup.sh STEP...     npm       the packages of package-lock.json
#                             packages  Debian's packages of the test bed (root)
#                             build     build/ (compiled) and dist/ (bundle)
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "setup: $*" >&2; }

setup_npm() {
  if [ node_modules/.package-lock.json -nt package-lock.json ]; then return; fi
  say "installing the npm packages"
  npm ci --ignore-scripts --no-progress --loglevel=error >&2
  touch node_modules/.package-lock.json
}

for step in "$@"; do
  "setup_$step"
done
