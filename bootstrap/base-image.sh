#!/usr/bin/env bash
# Builds a base image for `make images` where no registry of images can be reached, from Debian's mirror and npm's
# registry: Debian 12, the Node that package.json pins, npm. As root, after make setup; needs debootstrap.
#   bootstrap/base-image.sh && NODE_IMAGE=localhost/odonata/node make images
# MIRROR=http://... names another mirror of Debian, NODE_IMAGE the image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source bootstrap/engine.sh

image=${NODE_IMAGE:-localhost/odonata/node}
command -v debootstrap >/dev/null || fail "debootstrap is missing. Run: apt-get install debootstrap"
[ "$(id -u)" -eq 0 ] || fail "debootstrap needs root. Run: sudo $0"
node=node_modules/.bin/node
[ -x "$node" ] || fail "the Node of package.json is not there. Run: make setup"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/root
debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "${MIRROR:-http://deb.debian.org/debian}" >&2
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root/etc/resolv.conf" "$root/etc/hostname"
install "$(readlink -f "$node")" "$root/usr/local/bin/node"
npm install --silent --global --prefix "$root/usr/local" "npm@$(npm --version)"
tar --directory "$root" --exclude ./dev --exclude ./proc --exclude ./sys --create --file "$folder/root.tar" .
rm -rf "$root"
printf 'FROM scratch\nADD root.tar /\nCMD ["node"]\n' >"$folder/Dockerfile"
"$engine" build --quiet --tag "$image" "$folder"
