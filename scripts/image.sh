#!/bin/sh
# Builds the images dockreg:layer, dockreg:base and dockreg:example from dist/ and the Dockerfile.
# usage: image.sh [--sizes]   --sizes also prints their sizes, which takes some seconds
# The variables NODE_IMAGE and BASE_IMAGE replace the base images. Docker's own variables, such as DOCKER_HOST, apply.
set -eu
cd "$(dirname "$0")/.."

[ -f dist/dockreg.js ] || {
  printf '%s\n' "image: dist/ is not built; run npm run build" >&2
  exit 1
}

for target in layer base example; do
  # --build-arg without a value takes the variable of that name; without the variable, the Dockerfile's default applies.
  docker build --quiet --target "$target" --tag "dockreg:$target" \
    --build-arg NODE_IMAGE --build-arg BASE_IMAGE . >/dev/null
done

[ "${1-}" = --sizes ] || exit 0

mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'; }

for target in layer base example; do
  printf '%-16s %s\n' "dockreg:$target" "$(mib "$(docker image inspect --format '{{.Size}}' "dockreg:$target")")"
done
printf '%-16s %s\n' "layer, gzip" "$(mib "$(docker save dockreg:layer | gzip -c | wc -c)")"

# The layer contains no command, so a name must be given. The container is never started.
container=$(docker create dockreg:layer none)
trap 'docker rm "$container" >/dev/null' EXIT
printf '%-16s %s\n' "  without node" "$(mib "$(docker cp "$container:/opt/dockreg/app" - | gzip -c | wc -c)")"
