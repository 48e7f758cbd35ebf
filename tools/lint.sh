#!/usr/bin/env bash
# Checks the whole tree: format, clang-tidy, cppcheck, that no layer includes headers of a layer above it, that headers include each other
# in no circle, and that the documents and sections cited in comments exist.
set -uo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files '*.c')
mapfile -t headers < <(git ls-files '*.h')
includes=(-Iinclude -iquote dataplane -iquote control -iquote tools -iquote tests -iquote perf)
failed=0

check() {
    local name=$1
    shift
    if "$@"; then
        echo "ok      $name"
    else
        echo "FAILED  $name"
        failed=1
    fi
}

format() {
    clang-format --dry-run -Werror "${sources[@]}" "${headers[@]}"
}

tidy() {
    local flags="-std=gnu17 -D_GNU_SOURCE -DFLASHRELAY_VERSION=\"lint\" ${includes[*]}"
    # shellcheck disable=SC2016  # the inner shell expands it
    printf '%s\0' "${sources[@]}" |
        FLAGS=$flags xargs -0 -n 1 -P "$(nproc)" sh -c 'clang-tidy --quiet "$@" -- $FLAGS 2>/dev/null' clang-tidy
}

# tests/ is left out: cppcheck does not understand its macros and functions that never return.
cpp_check() {
    local product
    mapfile -t product < <(git ls-files 'dataplane/*.c' 'control/*.c' 'tools/*.c' 'perf/*.c')
    cppcheck --quiet -j "$(nproc)" --std=c11 --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
        --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches -D_GNU_SOURCE -D__x86_64__ \
        -DFLASHRELAY_VERSION='"lint"' -Iinclude -Idataplane -Itools -Iperf "${product[@]}"
}

# The data plane builds without control/, tools/ and tests/, and its lower layers (base and the protocols) build without those above them.
floors() {
    local wrong
    wrong=$(grep -nE '#include "(control|tools|tests|perf)/|#include "\.\./' -r include dataplane control tools perf tests --include='*.[ch]' &&
        true)
    for floor in base http ws tls codec; do
        wrong+=$(grep -nE '#include "((channel|encode|engine|ingest|shard|relay)/|flashrelay/(engine|shard|ingest|relay|admission|channel|encoder)[a-z_]*\.h)' \
            -r "dataplane/$floor" --include='*.[ch]')
    done
    wrong+=$(grep -nE '#include "(ws|tls|codec)/|#include "flashrelay/(ws|brotli)[a-z_]*\.h' -r dataplane/base dataplane/http --include='*.[ch]')
    wrong+=$(cd control && for header in *.h */*.h; do grep -nE "#include \"$header\"" -r ../dataplane ../include; done)
    [ -z "$wrong" ] || { echo "$wrong"; return 1; }
}

# Headers must not include each other in a circle.
circles() {
    local pairs
    pairs=$(for header in "${headers[@]}"; do
        sed -nE 's|^#include "([^"]+)".*|\1|p' "$header" | while read -r included; do
            for folder in include dataplane control tools tests perf "$(dirname "$header")"; do
                [ -f "$folder/$included" ] && { echo "$header" "$folder/$included"; break; }
            done
        done
    done)
    [ -z "$pairs" ] || tsort <<<"$pairs" >/dev/null
}

# Documents that comments cite are in the tree, and the cited sections of the data plane's pages are headings there.
citations() {
    local wrong
    wrong=$(git grep -noE '[A-Za-z0-9_./-]+\.md\b' -- '*.c' '*.h' | while IFS=: read -r file line page; do
        [ -f "$page" ] || echo "$file:$line: no such document: $page"
    done)
    wrong+=$(cat "${sources[@]}" "${headers[@]}" | tr '\n' ' ' | sed 's| \* | |g' | tr -s ' ' |
        grep -oE 'dataplane/(README|WIRE)\.md, "[^"]+"( and "[^"]+")*' | while read -r citation; do
            grep -oE '"[^"]+"' <<<"$citation" | tr -d '"' | while read -r section; do
                grep -qxF -e "## $section" -e "### $section" "${citation%%,*}" || echo "${citation%%,*}: no such section: $section"
            done
        done)
    [ -z "$wrong" ] || { echo "$wrong"; return 1; }
}

check "who includes whom" floors
check "no circles" circles
check "citations" citations
check "clang-format" format
check "cppcheck" cpp_check
check "clang-tidy" tidy
exit $failed
