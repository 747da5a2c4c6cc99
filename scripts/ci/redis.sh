#!/bin/sh
# Strategy: installs the Redis that test/registry starts, where it is missing. The package also sets up a service, which is not
# wanted: the tests start servers of their own, on ports that the system chooses. Needs apt-get, and to be root.
set -eu

if ! command -v redis-server >/dev/null && ! command -v valkey-server >/dev/null; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends redis-server
  service redis-server stop >/dev/null 2>&1 || true
fi
redis-server --version 2>/dev/null || valkey-server --version
