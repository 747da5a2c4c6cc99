#!/usr/bin/env bash
# Packs the library, installs the package into an empty project, and uses it there: no dependency, all entries, the
# types, and the README's first example.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
tarball=$(npm pack --silent --pack-destination "$work" | tail -n 1)
mkdir "$work/app"
cd "$work/app"
echo '{ "name": "app", "private": true, "type": "module" }' >package.json
npm install --silent "$work/$tarball"
packages=$(ls node_modules)
[ "$packages" = sansocket ] || { echo "installed more than itself: $packages"; exit 1; }
node -e "
for (const entry of ['sansocket', 'sansocket/protocol', 'sansocket/handshake', 'sansocket/server', 'sansocket/registry', 'sansocket/registry/redis', 'sansocket/testing']) {
  const names = Object.keys(await import(entry))
  if (names.length === 0) throw new Error(entry + ' exports nothing')
}
" --input-type=module
# The first block of TypeScript in the README, as a user would paste it.
awk '/^```ts/ { if (!seen) inside = 1; seen = 1; next } /^```/ { inside = 0 } inside' "$root/README.md" >first.ts
[ -s first.ts ]
"$root/node_modules/.bin/tsc" --strict --target es2023 --module nodenext --lib es2023,esnext.disposable,dom \
  --types node --typeRoots "$root/node_modules/@types" first.ts
node first.js
