#!/bin/sh
# Strategy: installs the proxies that test/interop/proxies.test.ts talks to, where they are missing. tinyproxy-bin is the
# program alone: nothing is started, and nothing listens. Needs apt-get, and to be root.
set -eu

if ! command -v tinyproxy >/dev/null || ! command -v microsocks >/dev/null; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends tinyproxy-bin microsocks
fi
tinyproxy -v
command -v microsocks
