#!/usr/bin/env bash
# A Chromium for the browser tests: the one that is there, else the distribution's, else none, and then say so.
set -euo pipefail

found() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

install() {
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium
}

found >/dev/null && exit 0
if command -v apt-get >/dev/null; then
    echo "installing Chromium for the browser tests"
    install >/dev/null || true
fi
found >/dev/null && exit 0
if [ -n "${CI:-}" ]; then
    echo "no Chromium was found and none could be installed: the browser tests cannot run" >&2
    exit 1
fi
echo "no Chromium was found and none could be installed: the browser tests are skipped"
