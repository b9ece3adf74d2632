#!/bin/sh
# npm run bench [-- --runs N --settle N --seconds N]: everything that it needs, then the figures of test/bench/container.ts.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh npm build packages image-base
sh test/support/bed.sh node build/test/bench/container.js "$@"
printf '\n'
printf 'The bundle, compressed: %s KiB\n' "$(($(tar -c dist | gzip -c | wc -c) / 1024))"
