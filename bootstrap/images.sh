#!/usr/bin/env bash
# Builds the image of each service (or of those that the arguments name) as odonata/<service>:<version>.
# REGISTRY=ghcr.io/me/ and VERSION=1.2.3 change the name. The same commit gives the same labels and times.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "images: $1" >&2
  exit 1
}
engine=
for tool in docker podman; do
  command -v "$tool" >/dev/null || continue
  engine=$tool
  "$tool" info >/dev/null 2>&1 && break
done
[ -n "$engine" ] || fail "neither docker nor podman is installed. Install one: apt-get install podman"
"$engine" info >/dev/null 2>&1 || fail "$engine is installed, but no engine answers. Start it, then see: $engine info"

registry=${REGISTRY:-odonata/}
version=${VERSION:-$(node -p 'require("./package.json").version')}
revision=$(git rev-parse HEAD)
[ -z "$(git status --porcelain)" ] || revision=$revision-changed
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
[ $# -gt 0 ] || set -- cohd pmapd syslinkd vkerneld
for service in "$@"; do
  echo "images: $registry$service:$version"
  "$engine" build --quiet --target "$service" --tag "$registry$service:$version" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "CREATED=$created" \
    --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" ${NODE_IMAGE:+--build-arg "NODE_IMAGE=$NODE_IMAGE"} .
done
