#!/usr/bin/env bash
# Where the tests keep their files: in memory, where the machine lends enough of it as files that may be run, else on disk.
set -euo pipefail

MEMORY=/dev/shm
NEEDED_KILOBYTES=$((2 * 1024 * 1024))

lends_enough() {
    local lent left
    lent=$(df -Pk "$MEMORY" 2>/dev/null | awk 'NR == 2 { print $4 }')
    left=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo 2>/dev/null)
    [ "${lent:-0}" -ge "$NEEDED_KILOBYTES" ] && [ "${left:-0}" -ge "$((2 * NEEDED_KILOBYTES))" ]
}

runs_programs() {
    local trial
    trial=$(mktemp "$MEMORY/bespoke.XXXXXX" 2>/dev/null) || return
    trap 'rm -f "$trial"' RETURN
    echo '#!/bin/sh' > "$trial" && chmod +x "$trial" && "$trial" 2>/dev/null
}

if lends_enough && runs_programs; then
    echo "$MEMORY"
else
    echo "${TMPDIR:-/tmp}"
fi
