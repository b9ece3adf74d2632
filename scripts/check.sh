#!/bin/sh
# npm run check: types, architecture, words, lint and format. Runs all of them, then fails if one has failed.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh compile
failed=''

# check NAME COMMAND [ARG...]
check() {
  name=$1
  shift
  "$@" || failed="$failed $name"
}

check arrows node build/scripts/check/arrows.js
check words node build/scripts/check/words.js
# Pages that are generated from the code: each is compared with the file in the repository.
check options node build/scripts/options.js --check
check lint node_modules/.bin/oxlint --type-aware --deny-warnings
check format node_modules/.bin/oxfmt --check

[ -z "$failed" ] || {
  printf '%s\n' "check: failed:$failed" >&2
  exit 1
}
