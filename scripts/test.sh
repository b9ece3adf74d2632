#!/bin/sh
# npm test [-- SUITE...]: everything that the tests need, then the suites: unit integration e2e (all when none is named).
# A suite that cannot run here is reported as skipped with the reason; with CI=true that is a failure.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "test: $*" >&2; }
[ $# -gt 0 ] || set -- unit integration e2e
failed='' skipped=''

run_suite() {
  suite=$1
  shift
  say "$suite"
  code=0
  "$@" node --test --test-reporter=spec --test-concurrency="${concurrency:-2}" build/test/"$suite"/*.test.js || code=$?
  case $code in
    0) ;;
    75) skip "$suite" "no bed can be made here" ;;
    *) failed="$failed $suite" ;;
  esac
}

skip() {
  say "$1 is SKIPPED: $2"
  skipped="$skipped $1"
}

sh scripts/setup.sh npm build
for suite in "$@"; do
  case $suite in
    unit) run_suite unit ;;
    integration)
      if sh scripts/setup.sh packages; then run_suite integration; else skip integration "etcd is missing"; fi
      ;;
    e2e)
      # All files of the suite share the bed's hosts.
      if sh scripts/setup.sh packages && sh scripts/setup.sh image-base; then
        concurrency=1 run_suite e2e sh test/support/bed.sh
      else
        skip e2e "Docker or the base image is missing"
      fi
      ;;
    *)
      say "there is no suite called $suite"
      exit 64
      ;;
  esac
done

[ -z "$skipped" ] || say "skipped:$skipped"
[ -z "$failed" ] || say "failed:$failed"
[ -z "$failed" ] || exit 1
[ -z "$skipped" ] || [ "${CI:-}" != true ] || exit 1
