#!/bin/sh
# Prepares a fresh machine for the project's commands. A step whose work is already done does nothing.
# usage: setup.sh STEP...     npm         the packages of package-lock.json
#                             packages    Debian's packages of the test bed (root)
#                             podman      Debian's podman, beside Docker (root)
#                             linters     Debian's packages that check shell scripts and the Vagrantfile (root)
#                             compile     build/ (compiled)
#                             build       build/ (compiled) and dist/ (bundle)
#                             etcd-next   the etcd of Debian 13, beside the one that packages installs (root)
#                             docker-next the Docker of Debian 13, beside the one that packages installs (root)
#                             sid         Docker, podman and supervisor of Debian sid, beside the others (root)
#                             grpc-client a gRPC client in Go with etcd's own resolver, from Debian's packages (root)
#                             image-base  the test bed's replacements for the public base images (root)
# Downloads are kept in $DOCKREG_CACHE, by default dockreg/ in the user's cache folder.
set -eu
cd "$(dirname "$0")/.."

cache=${DOCKREG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dockreg}

say() { printf '%s\n' "setup: $*" >&2; }
fail() {
  say "$*"
  exit 1
}

setup_npm() {
  # shellcheck disable=SC3013  # dash and busybox know -nt, and POSIX has it since 2024
  if [ node_modules/.package-lock.json -nt package-lock.json ]; then return; fi
  say "installing the npm packages"
  npm ci --ignore-scripts --no-progress --loglevel=error >&2
  touch node_modules/.package-lock.json
}

missing_packages() {
  for package in "$@"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || printf '%s ' "$package"
  done
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends "$@" >&2
}

# install_packages NAME...
install_packages() {
  command -v dpkg-query >/dev/null || fail "this needs Debian 12 or a distribution based on it"
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  [ "$(id -u)" = 0 ] || fail "as root, run: apt-get install --no-install-recommends $missing"
  say "installing $missing"

  # Keeps the system from starting dockerd and etcd: the bed starts its own.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi

  # shellcheck disable=SC2086  # a list of names
  apt_install $missing 2>/dev/null || {
    apt-get update --quiet=2 >&2
    apt_install $missing
  }
}

setup_packages() {
  install_packages docker.io docker-compose iptables etcd-server etcd-client supervisor debootstrap \
    iproute2 openssl util-linux procps haproxy nginx busybox-static
}

setup_compile() {
  setup_npm
  # Otherwise the compiled form of a moved file stays, and its tests still run.
  rm -rf build
  node_modules/.bin/tsc
}

setup_build() {
  setup_compile
  node build/scripts/bundle.js
}

# make_root STEP SUITE PACKAGES [TRIES]: makes a small Debian with these packages in $work/root. The end of the step
# removes $work.
make_root() {
  [ "$(id -u)" = 0 ] || fail "$1 makes a root folder with debootstrap, which needs root"
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/$1.XXXXXX")
  # An interrupted debootstrap leaves mounts, which must be undone before anything is removed.
  trap 'remove_root; rm -rf --one-file-system "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  say "making a root folder of Debian $2 for $1 (about a minute)"
  tries=1
  until debootstrap --variant=minbase --include="$3" "$2" "$work/root" >"$work/log" 2>&1; do
    tail -n 20 "$work/log" >&2
    [ "$tries" -lt "${4:-1}" ] || fail "debootstrap failed"
    tries=$((tries + 1))
    say "debootstrap failed; trying once more"
    remove_root
  done
}

remove_root() {
  umount "$work/root/proc" "$work/root/sys" 2>/dev/null || :
  rm -rf --one-file-system "$work/root"
}

# Puts Debian 13's etcd and its C library into a folder of their own, with wrappers that run it from there.
setup_etcd_next() {
  target=$cache/etcd-next
  [ ! -x "$target/bin/etcd" ] || return 0
  make_root etcd-next trixie etcd-server,etcd-client
  mkdir -p "$work/out/bin" "$work/out/lib"
  cp -L "$work"/root/lib64/ld-linux-*.so.* "$work/out/lib/ld.so" 2>/dev/null ||
    cp -L "$work"/root/lib/ld-linux-*.so.* "$work/out/lib/ld.so"
  cp -L "$work"/root/usr/lib/*-linux-gnu/libc.so.6 "$work"/root/usr/lib/*-linux-gnu/libresolv.so.2 "$work/out/lib/"
  for name in etcd etcdctl; do
    cp "$work/root/usr/bin/$name" "$work/out/lib/$name"
    printf '#!/bin/sh\nexec "%s/lib/ld.so" --library-path "%s/lib" "%s/lib/%s" "$@"\n' \
      "$target" "$target" "$target" "$name" >"$work/out/bin/$name"
    chmod 755 "$work/out/bin/$name"
  done
  rm -rf "$target"
  mv "$work/out" "$target"
  "$target/bin/etcd" --version >&2
}

# Puts Debian 13's Docker Engine with all its files into a /usr that the bed mounts over its own, for this engine only.
setup_docker_next() {
  target=$cache/docker-next
  [ ! -x "$target/usr/sbin/dockerd" ] || return 0
  make_root docker-next trixie docker.io,iptables
  keep_usr
}

# The same with what Debian sid has, for each of its programs only. sid moves, so the packages are fetched again when the
# list changes, or when the folder is removed; the suite prints the versions. sid can also be broken for a while.
setup_sid() {
  target=$cache/sid
  list=docker.io,iptables,nftables,podman,netavark,aardvark-dns,catatonit,runc,passt,slirp4netns,uidmap,supervisor
  if [ "$(cat "$target/packages" 2>/dev/null)" = "$list" ]; then return; fi
  make_root sid sid "$list" 2
  printf '%s\n' "$list" >"$work/packages"
  keep_usr "$work/packages"
}

# keep_usr [FILE...]: moves the /usr of $work/root, and the files, to $target.
keep_usr() {
  rm -rf "$work"/root/usr/share/doc "$work"/root/usr/share/man "$work"/root/usr/share/locale
  mkdir "$work/out"
  mv "$work/root/usr" "$@" "$work/out/"
  rm -rf "$target"
  mv "$work/out" "$target"
}

# Uses the libraries from which Debian builds its etcd, so nothing else is downloaded. With Go they take 900 MB.
setup_grpc_client() {
  source=test/consumers/grpc-client/main.go
  target=$cache/grpc-client
  # shellcheck disable=SC3013  # dash and busybox know -nt, and POSIX has it since 2024
  if [ "$target" -nt "$source" ]; then return; fi
  install_packages golang-go golang-etcd-server-dev
  say "compiling $source"
  mkdir -p "$cache"
  GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$cache/go-build CGO_ENABLED=0 go build -o "$target" "$source"
}

# Makes a Debian as small as the public image, and a Node binary. The bed imports them in place of debian:bookworm-slim
# and node:24-bookworm-slim, because it cannot pull images.
setup_image_base() {
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) fail "no Node package is known for $(uname -m)" ;;
  esac
  target=$cache/image-base
  recipe="1 bookworm minbase ca-certificates,supervisor,libstdc++6 node-linux-$arch@24"
  if [ "$(cat "$target/recipe" 2>/dev/null)" = "$recipe" ]; then return; fi
  make_root image-base bookworm ca-certificates,supervisor,libstdc++6
  (
    cd "$work/root"
    rm -rf var/lib/apt/lists/* var/cache/apt/* var/cache/debconf/*-old var/log/*.log var/log/apt \
      usr/share/doc/* usr/share/man/* usr/share/info/* usr/share/locale/*
    # An image contains no devices and no host name of the machine that built it.
    rm -rf dev/* etc/hostname etc/resolv.conf
  )
  mkdir -p "$work/out/node"
  tar -C "$work/root" --numeric-owner --sort=name -cf "$work/out/debian.tar" .

  say "fetching Node 24"
  (cd "$work" && npm pack "node-linux-$arch@24" --silent >/dev/null)
  tar -xzf "$work"/node-linux-"$arch"-*.tgz -C "$work" package/bin/node
  install -m 755 "$work/package/bin/node" "$work/out/node/node"
  printf '%s\n' "$recipe" >"$work/out/recipe"
  rm -rf "$target"
  mv "$work/out" "$target"
}

for step in "$@"; do
  case $step in
    npm) setup_npm ;;
    packages) (setup_packages) ;;
    podman) (install_packages podman netavark catatonit) ;;
    linters) (install_packages shellcheck vagrant) ;;
    compile) setup_compile ;;
    build) setup_build ;;
    etcd-next) (setup_etcd_next) ;;
    docker-next) (setup_docker_next) ;;
    sid) (setup_sid) ;;
    grpc-client) (setup_grpc_client) ;;
    image-base) (setup_image_base) ;;
    *) fail "there is no step called $step" ;;
  esac
done
