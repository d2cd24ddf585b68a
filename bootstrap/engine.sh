# Sourced by what builds images: sets engine to the first of docker, podman and buildah that works.
fail() {
  echo "images: $1" >&2
  exit 1
}
engine=
for tool in docker podman buildah; do
  command -v "$tool" >/dev/null || continue
  engine=$tool
  "$tool" info >/dev/null 2>&1 && break
done
[ -n "$engine" ] || fail "none of docker, podman and buildah is installed. Install one: apt-get install podman"
"$engine" info >/dev/null 2>&1 || fail "$engine is installed, but no engine answers. Start it, then see: $engine info"
