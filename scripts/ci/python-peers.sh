#!/bin/sh
# Strategy: makes the Python environment in which the peers of test/interop run, in .cache/python, and keeps it as long as
# it has the version below. Needs python3 (3.11 or newer) with venv, and the package index; the tests find it by themselves.
set -eu

websockets=17.4

cd "$(dirname "$0")/../.."
environment=.cache/python
has() {
  "$environment/bin/python" -c "import websockets, sys; sys.exit(websockets.__version__ != '$websockets')" 2>/dev/null
}

if ! has; then
  rm -rf "$environment"
  python3 -m venv "$environment"
  "$environment/bin/python" -m pip --disable-pip-version-check install -q "websockets==$websockets"
  has
fi
echo "$environment: websockets $websockets"
