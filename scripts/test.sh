#!/bin/sh
# npm test [-- SUITE...]: installs what the tests need, builds, and runs the suites. Without a name it runs these:
#   static            shellcheck on the scripts, vagrant validate on the Vagrantfile
#   unit              pure functions, as tables; loops on a fake clock
#   integration       the built program on Node (20) against real etcd (3.4), supervisor (4.2.5), HAProxy (2.6) and
#                     nginx (1.22)
#   integration-next  the tests of it that depend on etcd, against the etcd of Debian 13 (3.5)
#   fuzz              odd input of every kind, drawn from a seed: a short run of `npm run fuzz`
#   chaos             the built program under random faults; a checker judges what etcd showed meanwhile
#   e2e               the images, with their Node (24), on a real Docker Engine (20.10) and on podman (4.3)
#   e2e-next          the tests of it that depend on Docker, on the Docker of Debian 13 (26.1)
#   e2e-sid           what depends on the version of Docker (28.5), podman without root (5.8) and supervisor (4.3), on
#                     those of Debian sid; it prints the versions
# One suite must be named to run, because Go with its libraries takes 900 MB:
#   grpc-client       a client in Go that finds the instances with etcd's own resolver
# A suite that cannot run here is reported as skipped, with the reason. With CI=true a skipped suite is a failure.
# The suites in a bed (e2e…) run last and side by side, each in a bed of its own, because they mostly wait.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "test: $*" >&2; }
[ $# -gt 0 ] || set -- static unit fuzz integration integration-next chaos e2e e2e-next e2e-sid
failed='' skipped=''

cache=${DOCKREG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dockreg}

skip() {
  say "$1 is SKIPPED: $2"
  skipped="$skipped $1"
}

# run_files SUITE FOLDER [WRAPPER...]: runs all test files of the folder, except those that $except names, or only those
# that $only names, $concurrency at a time. WRAPPER is a command that runs a command. No suite takes longer than 20 minutes.
run_files() {
  suite=$1 folder=$2 files=
  shift 2
  for file in build/test/"$folder"/*.test.js; do
    name=$(basename "$file" .test.js)
    case " ${except:-} " in *" $name "*) continue ;; esac
    case " ${only:-$name} " in *" $name "*) files="$files $file" ;; esac
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

# run_in_bed SUITE [WRAPPER...]: one file at a time, because all files use the same hosts of the bed.
run_in_bed() {
  bed_suite=$1
  shift
  concurrency=1 run_files "$bed_suite" e2e env DOCKREG_BED="$bed_suite" "$@" sh test/support/bed.sh
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

# prepare SUITE: installs what it needs. Fails, and says what is missing, where that cannot be had.
prepare() {
  [ "${DOCKREG_TEST_PREPARED:-}" != true ] || return 0
  missing=''
  case $1 in
    static) sh scripts/setup.sh linters || missing="shellcheck or vagrant" ;;
    unit) ;;
    fuzz | integration | chaos) sh scripts/setup.sh packages || missing="etcd" ;;
    integration-next) sh scripts/setup.sh packages etcd-next || missing="the etcd of Debian 13" ;;
    grpc-client) sh scripts/setup.sh packages grpc-client || missing="etcd or Go" ;;
    e2e) sh scripts/setup.sh packages podman image-base || missing="Docker, podman or the base image" ;;
    e2e-next) sh scripts/setup.sh packages image-base docker-next || missing="Docker, the Docker of Debian 13 or the base image" ;;
    e2e-sid) sh scripts/setup.sh packages image-base sid || missing="Docker, the base image or what Debian sid has" ;;
    *)
      say "there is no suite called $1"
      exit 64
      ;;
  esac
  [ -z "$missing" ] || skip "$1" "$missing is missing"
  [ -z "$missing" ]
}

run() {
  case $1 in
    static) check_static ;;
    unit | fuzz | chaos) run_files "$1" "$1" ;;
    integration) concurrency=4 run_files "$1" integration ;;
    integration-next)
      # These do not depend on the version of etcd.
      more='fall listen load-balancers names-and-files resources services socket-proxy stop support trace usage'
      more="address asking messages one-name where $more"
      except="app-answers app-watch attacks check-kinds checks control docker-answers drain engine environment etcd-answers $more" \
        concurrency=4 run_files "$1" integration env DOCKREG_TEST_ETCD="$cache/etcd-next/bin/etcd"
      ;;
    grpc-client) run_files "$1" consumers env DOCKREG_TEST_GRPC_CLIENT="$cache/grpc-client" ;;
    e2e) except='rootless supervisor' run_in_bed "$1" ;;
    e2e-next)
      # These depend on podman, on the network between hosts or on supervisord, but not on the version of Docker.
      except='drain podman rootless stop supervisor two-hosts' run_in_bed "$1" env DOCKREG_TEST_ENGINE=docker-next
      ;;
    e2e-sid)
      only='address container rootless supervisor' \
        run_in_bed "$1" env DOCKREG_TEST_ENGINE=docker-sid DOCKREG_TEST_SHORT=1
      ;;
  esac
}

# run_beside SUITE...: runs suites that are prepared, in the background. join_beside prints what they printed.
run_beside() {
  beside=$*
  beside_output=$(mktemp)
  # In a process group of its own, so that one signal reaches all of it.
  DOCKREG_TEST_PREPARED=true setsid sh scripts/test.sh "$@" >"$beside_output" 2>&1 &
  beside_pid=$!
}

join_beside() {
  code=0
  wait "$beside_pid" || code=$?
  beside_pid=''
  cat "$beside_output"
  rm "$beside_output"
  [ "$code" = 0 ] || failed="$failed $beside"
}

beside_pid=''
trap '[ -z "$beside_pid" ] || kill -- "-$beside_pid"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

[ "${DOCKREG_TEST_PREPARED:-}" = true ] || sh scripts/setup.sh npm build
in_beds=''
for suite in "$@"; do
  ! prepare "$suite" || case $suite in
    e2e*) in_beds="$in_beds $suite" ;;
    *) run "$suite" ;;
  esac
done

# shellcheck disable=SC2086  # a list of suites
set -- $in_beds
if [ $# -gt 1 ] && [ "${DOCKREG_TEST_PREPARED:-}" != true ]; then
  # All of them load these.
  sh test/support/bed.sh node build/test/support/make-images.js || failed="$failed images"
  first=$1
  shift
  run_beside "$@"
  run "$first"
  join_beside
else
  for suite in "$@"; do run "$suite"; done
fi

[ -z "$skipped" ] || say "skipped:$skipped"
[ -z "$failed" ] || say "failed:$failed"
[ -z "$failed" ] || exit 1
[ -z "$skipped" ] || [ "${CI:-}" != true ] || exit 1
