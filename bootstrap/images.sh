#!/usr/bin/env bash
# Builds the image of each service (or of those that the arguments name) as odonata/<service>:<version>.
# REGISTRY=ghcr.io/me/ and VERSION=1.2.3 change the name. The same commit gives the same labels and times.
# NODE_IMAGE names another base (bootstrap/base-image.sh makes one), NPMRC a file with settings of npm: a registry, its
# token or its authority; no image keeps it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source bootstrap/engine.sh

# As Kubernetes completes odonata/: podman and buildah alone would say localhost/odonata/.
registry=${REGISTRY:-docker.io/odonata/}
version=${VERSION:-$(node -p 'require("./package.json").version')}
revision=$(git rev-parse HEAD)
[ -z "$(git status --porcelain)" ] || revision=$revision-changed
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
flags=()
# Docker keeps layers by itself, and takes their times from SOURCE_DATE_EPOCH.
[ "$engine" = docker ] || flags+=(--layers --timestamp "$SOURCE_DATE_EPOCH")
[ -z "${NODE_IMAGE:-}" ] || flags+=(--build-arg "NODE_IMAGE=$NODE_IMAGE")
[ -z "${NPMRC:-}" ] || flags+=(--secret "id=npmrc,src=$NPMRC")
[ $# -gt 0 ] || set -- cohd pmapd syslinkd vkerneld
for service in "$@"; do
  echo "images: $registry$service:$version"
  "$engine" build --quiet --target "$service" --tag "$registry$service:$version" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "CREATED=$created" \
    --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" "${flags[@]}" .
done
