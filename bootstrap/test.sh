#!/usr/bin/env bash
# Every check and every test (or those that the arguments name, as for vitest). The last line is the count of tests; the exit code is 0 only when all is well.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/node_modules/.bin:$PATH"
# Tests start some thousand processes of the same modules.
export NODE_COMPILE_CACHE="$PWD/node_modules/.cache/odonata"
# Nobody else removes what is of sources and bundles of a while ago.
find "$NODE_COMPILE_CACHE" -type f -mtime +7 -delete 2>/dev/null

npm run --silent check
check=$?
# On a branch: what it changes in the interfaces must not break those of main. A detached checkout has no main.
if git show-ref --verify --quiet refs/heads/main; then
  npm run --silent breaking || check=1
fi

counts=$(mktemp -d)
trap 'rm -rf "$counts"' EXIT
# COUNT ARGS...: the tests that these name, counted there.
run() {
  ODONATA_COUNT_FILE=$1 vitest run --reporter=default --reporter=./bootstrap/count-reporter.ts "${@:2}"
}
run "$counts/first" "$@"
tests=$?
closing=("$counts/first")
# A machine that is too busy for a test shows in few files: these have it for themselves once more, which the closing lines tell.
if [ $tests -ne 0 ] && [ -s "$counts/first" ]; then
  mapfile -t again < <(node bootstrap/closing.ts again "$counts/first")
  if [ ${#again[@]} -gt 0 ]; then
    echo "test: once more, by themselves: ${again[*]}"
    run "$counts/second" --maxWorkers=1 "${again[@]}"
    tests=$?
    [ ! -s "$counts/second" ] || closing+=("$counts/second")
  fi
fi

[ $check -eq 0 ] || echo "test: npm run check failed, see the top" >&2
node bootstrap/closing.ts lines "${closing[@]}"
closed=$?
[ $check -eq 0 ] && [ $tests -eq 0 ] && [ $closed -eq 0 ]
