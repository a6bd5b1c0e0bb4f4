# script/common.sh - What every script here begins with: strict mode, the repository's root as the working
# directory, and a few words to speak with. Sourced, never run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
me="script/$(basename "$0")"

say() {
    printf '%s\n' "$*" >&2
}

die() {
    printf '%s: %s\n' "$me" "$*" >&2
    exit 1
}

usage_die() {
    printf '%s: %s\n' "$me" "$*" >&2
    exit 2
}

# need TOOL HOW: stop unless TOOL can be run; HOW says how to get it.
need() {
    command -v "$1" >/dev/null 2>&1 || die "$1 is not installed; $2"
}

jobs_max() {
    nproc 2>/dev/null || echo 2
}

# stamp_matches FILE TEXT, stamp_write FILE TEXT: remember what a slow step was last done for.
stamp_matches() {
    [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]
}

stamp_write() {
    mkdir -p "$(dirname "$1")"
    printf '%s\n' "$2" >"$1"
}
