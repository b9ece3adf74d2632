#!/bin/sh
# npm test [-- SUITE...]: installs what the tests need, builds, and runs the suites. Without a name it runs these:
#   static            shellcheck on the scripts, vagrant validate on the Vagrantfile
#   unit              pure functions, as tables; loops on a fake clock
#   integration       the built program against real etcd (3.4)
#   integration-next  the tests of it that depend on etcd, against the etcd of Debian 13 (3.5)
#   fuzz              odd input of every kind, drawn from a seed: a short run of `npm run fuzz`
#   chaos             the built program under random faults; a checker judges what etcd showed meanwhile
#   e2e               the images on a real Docker Engine (20.10) and on podman (4.3)
#   e2e-next          the tests of it that depend on Docker, on the engine of Debian 13 (26.1)
# One suite must be named to run, because Go with its libraries takes 900 MB:
#   grpc-client       a client in Go that finds the instances with etcd's own resolver
# A suite that cannot run here is reported as skipped, with the reason. With CI=true a skipped suite is a failure.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "test: $*" >&2; }
[ $# -gt 0 ] || set -- static unit fuzz integration integration-next chaos e2e e2e-next
failed='' skipped=''

cache=${DOCKREG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dockreg}

# run_suite NAME FOLDER [WRAPPER...]: runs all test files of the folder, except those that $except names, $concurrency
# at a time, because they mostly wait. WRAPPER is a command that runs a command. No suite takes longer than 20 minutes.
run_suite() {
  suite=$1 folder=$2 files=
  shift 2
  for file in build/test/"$folder"/*.test.js; do
    case " ${except:-} " in
      *" $(basename "$file" .test.js) "*) ;;
      *) files="$files $file" ;;
    esac
  done
  say "$suite"
  code=0
  # shellcheck disable=SC2086  # a list of files
  "$@" timeout --kill-after=10 1200 node --test --test-reporter=spec --test-concurrency="${concurrency:-2}" $files || code=$?
  case $code in
    0) ;;
    75) skip "$suite" "no bed can be made here" ;;
    *) failed="$failed $suite" ;;
  esac
}

check_static() {
  say static
  # Vagrant writes to its home folder, and would look for newer versions on the network.
  vagrant_home=$(mktemp -d)
  if shellcheck --severity=warning scripts/*.sh test/support/*.sh test/support/as-host/* layer/dockreg .ci/run &&
    VAGRANT_HOME=$vagrant_home VAGRANT_CHECKPOINT_DISABLE=1 vagrant validate --ignore-provider >&2; then
    :
  else
    failed="$failed static"
  fi
  rm -rf "$vagrant_home"
}

skip() {
  say "$1 is SKIPPED: $2"
  skipped="$skipped $1"
}

sh scripts/setup.sh npm build
for suite in "$@"; do
  case $suite in
    static)
      if sh scripts/setup.sh linters; then check_static; else skip static "shellcheck or vagrant is missing"; fi
      ;;
    unit) run_suite unit unit ;;
    integration)
      if sh scripts/setup.sh packages; then concurrency=4 run_suite integration integration; else skip integration "etcd is missing"; fi
      ;;
    fuzz)
      if sh scripts/setup.sh packages; then run_suite fuzz fuzz; else skip fuzz "etcd is missing"; fi
      ;;
    chaos)
      if sh scripts/setup.sh packages; then run_suite chaos chaos; else skip chaos "etcd is missing"; fi
      ;;
    integration-next)
      if sh scripts/setup.sh packages && sh scripts/setup.sh etcd-next; then
        # These do not depend on the version of etcd.
        more='fall listen load-balancers names-and-files resources services socket-proxy stop support trace usage'
        except="app-answers app-watch attacks check-kinds checks control docker-answers drain engine environment etcd-answers $more" \
          concurrency=4 run_suite integration-next integration env DOCKREG_TEST_ETCD="$cache/etcd-next/bin/etcd"
      else
        skip integration-next "the etcd of Debian 13 is missing"
      fi
      ;;
    grpc-client)
      if sh scripts/setup.sh packages grpc-client; then
        run_suite grpc-client consumers env DOCKREG_TEST_GRPC_CLIENT="$cache/grpc-client"
      else
        skip grpc-client "etcd or Go is missing"
      fi
      ;;
    e2e)
      # One file at a time: all files of the suite use the same hosts of the bed.
      if sh scripts/setup.sh packages podman && sh scripts/setup.sh image-base; then
        concurrency=1 run_suite e2e e2e sh test/support/bed.sh
      else
        skip e2e "Docker, podman or the base image is missing"
      fi
      ;;
    e2e-next)
      if sh scripts/setup.sh packages && sh scripts/setup.sh image-base && sh scripts/setup.sh docker-next; then
        # These depend on podman, on the network between hosts or on supervisord, but not on the version of Docker.
        except='drain podman stop two-hosts' concurrency=1 run_suite e2e-next e2e env DOCKREG_TEST_ENGINE=docker-next sh test/support/bed.sh
      else
        skip e2e-next "Docker, the Docker of Debian 13 or the base image is missing"
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
