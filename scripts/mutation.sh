#!/bin/sh
# npm run mutation [-- SOURCE.ts TEST.test.ts...]: disables each `if` of a source in turn; each time a test must fail.
# Without arguments it does so for the loops and the reducers behind them. It takes minutes, so it runs only by hand.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh compile
failed=''

# mutate SOURCE TEST...
mutate() {
  node build/test/mutation/remove-ifs.js "$@" || failed="$failed $1"
}

if [ $# -gt 0 ]; then
  mutate "$@"
else
  mutate src/etcd/session.ts test/unit/session.test.ts
  mutate src/core/lease/failover.ts test/unit/failover.test.ts test/unit/session.test.ts
  mutate src/agent/agent.ts test/unit/agent.test.ts
  mutate src/agent/address-loop.ts test/unit/address-loop.test.ts test/unit/agent.test.ts
  mutate src/core/registration/service.ts test/unit/registration.test.ts test/unit/agent.test.ts
  mutate src/core/registration/judgement.ts test/unit/registration.test.ts test/unit/agent.test.ts
  mutate src/core/registration/schedule.ts test/unit/schedule.test.ts test/unit/registration.test.ts
fi

[ -z "$failed" ] || {
  printf '%s\n' "mutation: failed:$failed" >&2
  exit 1
}
