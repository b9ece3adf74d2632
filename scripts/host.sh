#!/bin/sh
# Turns a Debian 12 machine into one of the hosts: a member of etcd, and a Docker Engine with dockreg's images. Run it
# as root; run it again after a change. The Vagrantfile and the test bed (test/support/two-hosts.ts) use it.
# usage: host.sh --name NAME --address ADDRESS --peers NAME=ADDRESS[,NAME=ADDRESS...] [--image FILE | --no-docker]
#   --name, --address   the name of this host, and the address at which the other hosts reach it
#   --peers             the other members of etcd
#   --image FILE        loads the images from this file, written by `docker save`; by default they are built from dist/
#   --no-docker         sets up the member of etcd only
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "host: $*" >&2; }
refuse() {
  say "$*"
  exit 64
}

check_name() {
  case $2 in
    '' | *[!a-z0-9-]*) refuse "$1: the name '$2' must be made of a-z, 0-9 and -, such as host-1" ;;
  esac
}

check_address() {
  case $2 in
    *[!0-9.]* | *.*.*.*.* | .* | *. | *..*) ;;
    *.*.*.*) return ;;
  esac
  refuse "$1: the address '$2' must be an IPv4 address, such as 10.1.0.101"
}

name='' address='' peers='' image='' docker=yes
while [ $# -gt 0 ]; do
  option=$1
  case $option in
    --no-docker)
      docker=no
      shift
      continue
      ;;
    --name | --address | --peers | --image) ;;
    *) refuse "there is no option $option; there are --name, --address, --peers, --image and --no-docker" ;;
  esac
  [ $# -ge 2 ] || refuse "$option needs a value"
  case $option in
    --name) name=$2 ;;
    --address) address=$2 ;;
    --peers) peers=$2 ;;
    --image) image=$2 ;;
  esac
  shift 2
done
check_name --name "$name"
check_address --address "$address"
[ -z "$image" ] || [ -r "$image" ] || refuse "--image: there is no file $image to read; docker save writes one"

cluster=$name=http://$address:2380
for peer in $(printf %s "$peers" | tr , ' '); do
  case $peer in
    *=*) ;;
    *) refuse "--peers: '$peer' must be NAME=ADDRESS, such as host-2=10.1.0.102" ;;
  esac
  check_name --peers "${peer%%=*}"
  check_address --peers "${peer#*=}"
  cluster=$cluster,${peer%%=*}=http://${peer#*=}:2380
done

[ "$(id -u)" = 0 ] || refuse "packages and services need root; run this as root"

install_packages() {
  missing=
  for package in "$@"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  say "installing$missing"
  apt-get update --quiet=2
  # shellcheck disable=SC2086  # a list of names
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 $missing >/dev/null
}

install_packages etcd-server etcd-client
# The data folder is not the default one: Debian's package has already started a single member there.
config=$(mktemp)
trap 'rm -f "$config"' EXIT
cat >"$config" <<END
# Written by scripts/host.sh of dockreg, and read by etcd.service.
ETCD_NAME=$name
ETCD_DATA_DIR=/var/lib/etcd/dockreg
ETCD_LISTEN_CLIENT_URLS=http://$address:2379,http://127.0.0.1:2379
ETCD_ADVERTISE_CLIENT_URLS=http://$address:2379
ETCD_LISTEN_PEER_URLS=http://$address:2380
ETCD_INITIAL_ADVERTISE_PEER_URLS=http://$address:2380
ETCD_INITIAL_CLUSTER=$cluster
ETCD_INITIAL_CLUSTER_TOKEN=dockreg
# A member that was cut off first asks whether it could win an election, so its return does not depose the leader.
ETCD_PRE_VOTE=true
END
# Do not wait for the member: it is ready only when a majority has started, and this may be the first one.
if cmp --silent "$config" /etc/default/etcd; then
  systemctl start --no-block etcd
else
  install -m 644 "$config" /etc/default/etcd
  systemctl restart --no-block etcd
fi

if [ "$docker" = no ]; then
  say "$name at $address is a member of etcd"
  exit
fi

install_packages docker.io
systemctl start docker
if [ -n "$image" ]; then
  docker load --quiet --input "$image" >/dev/null
else
  say "building the images"
  sh scripts/image.sh
fi
say "$name at $address is a member of etcd and runs Docker with the images of dockreg"
