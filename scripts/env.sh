# shellcheck shell=bash
# Sourced by the scripts beside it: goes to the top of the source tree and defines what they share.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit
# shellcheck disable=SC2034 # used by the scripts
jobs=${WEFT_JOBS:-$(nproc)}

die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# Prints the comment on top of the script that is running.
usage() {
    awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$root/scripts/$(basename "$0")"
}

build_dir() {
    if [[ $1 == release ]]; then echo build; else echo "build-$1"; fi
}

# The files of the project (not those that git ignores) that match the patterns.
files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        # A file may be listed and already deleted.
        git ls-files -co --exclude-standard -- "$@" | while read -r file; do
            if [[ -f $file ]]; then echo "$file"; fi
        done
    else
        local pattern
        for pattern in "$@"; do
            find . -path './build*' -prune -o -name node_modules -prune -o \
                -type f -path "./$pattern" -print
        done | sed 's|^\./||' | sort -u
    fi
}
