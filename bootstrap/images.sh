#!/usr/bin/env bash
# Builds the image of each service (or of those that the arguments name) as registry.invalid/odonata/<service>:<version>, a name
# that no registry can have: load them into the machines of a cluster. REGISTRY=registry.example/odonata/ and VERSION=1.2.3 change
# the name. PUSH=yes also pushes them there, and writes names and digests into k8s/components/images, where the manifests have
# them from. The same commit gives the same labels and times.
# NODE_IMAGE names another base (bootstrap/base-image.sh makes one), NPMRC a file with settings of npm: a registry, its
# token or its authority; no image keeps it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source bootstrap/engine.sh

unowned=registry.invalid/odonata/
registry=${REGISTRY:-$unowned}
pins=k8s/components/images/kustomization.yaml
[ -z "${PUSH:-}" ] || [ "$registry" != "$unowned" ] || fail "PUSH takes a registry. Say REGISTRY=registry.example/odonata/"
version=${VERSION:-$(node -p 'require("./package.json").version')}
revision=$(git rev-parse HEAD)
[ -z "$(git status --porcelain)" ] || revision=$revision-changed
# Of whoever may read it: a password or token in the address is nobody else's.
source_url=$(git remote get-url origin 2>/dev/null | sed -nE 's|^(https?://)([^/@]*@)?|\1|p')
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
flags=()
# Docker keeps layers by itself, and takes their times from SOURCE_DATE_EPOCH.
[ "$engine" = docker ] || flags+=(--layers --timestamp "$SOURCE_DATE_EPOCH")
[ -z "${NODE_IMAGE:-}" ] || flags+=(--build-arg "NODE_IMAGE=$NODE_IMAGE")
[ -z "${NPMRC:-}" ] || flags+=(--secret "id=npmrc,src=$NPMRC")
[ $# -gt 0 ] || set -- cohd console pmapd syslinkd vkerneld

# As the registry knows what was pushed.
digest_of() { # image
  if [ "$engine" = docker ]; then
    docker push --quiet "$1" >&2
    docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$1" |
      sed -n "s|^${1%:*}@||p" | head -n 1
  else
    local file
    file=$(mktemp)
    "$engine" push --quiet --digestfile "$file" "$1" >&2
    cat "$file"
    rm -f "$file"
  fi
}
pin() { # service image
  local digest line
  digest=$(digest_of "$2")
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "$engine does not tell the digest of $2, which it pushed: \"$digest\""
  line="  - { name: $unowned$1, newName: ${2%:*}, digest: $digest } # ${2##*:}"
  grep -q "^  - { name: $unowned$1, " "$pins" || fail "$pins has no line for $1"
  sed -i "s|^  - { name: $unowned$1, .*|$line|" "$pins"
  echo "images: $pins has $2@$digest"
}

for service in "$@"; do
  echo "images: $registry$service:$version"
  "$engine" build --quiet --target "$service" --tag "$registry$service:$version" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "CREATED=$created" \
    --build-arg "SOURCE=$source_url" --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" "${flags[@]}" .
  [ -z "${PUSH:-}" ] || pin "$service" "$registry$service:$version"
done
