#!/usr/bin/env bash
# Checks the whole tree: format, clang-tidy, cppcheck, that no folder includes headers of a folder above it, that headers include each other
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

# Files that include DPDK's headers are checked with its flags.
tidy() {
    local flags="-std=gnu17 -D_GNU_SOURCE -DFLASHRELAY_VERSION=\"lint\" ${includes[*]}" dpdk
    dpdk=$(pkg-config --cflags libdpdk | sed 's/-I/-isystem /g')
    # shellcheck disable=SC2016  # the inner shell expands it
    printf '%s\0' "${sources[@]}" |
        FLAGS=$flags DPDK=$dpdk xargs -0 -n 1 -P "$(nproc)" sh -c '
            case $1 in dataplane/engine/dpdk/* | perf/bypass_*/* | perf/population/* | tests/unit/test_dpdk_* | tests/unit/test_population.c) FLAGS="$FLAGS $DPDK" ;; esac
            clang-tidy --quiet "$1" -- $FLAGS 2>/dev/null' clang-tidy
}

# tests/ is left out: cppcheck does not understand its macros and functions that never return.
cpp_check() {
    local product
    mapfile -t product < <(git ls-files 'dataplane/*.c' 'control/*.c' 'tools/*.c' 'perf/*.c')
    cppcheck --quiet -j "$(nproc)" --std=c11 --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
        --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches -D_GNU_SOURCE -D__x86_64__ \
        -DFLASHRELAY_VERSION='"lint"' -Iinclude -Idataplane -Itools -Iperf "${product[@]}"
}

# The data plane includes nothing of control/, tools/, tests/ and perf/.
floors() {
    local wrong
    wrong=$(grep -nE '#include "(control|tools|tests|perf)/|#include "\.\./' -r include dataplane control tools perf tests --include='*.[ch]' &&
        true)
    wrong+=$(cd control && for header in *.h */*.h; do grep -nE "#include \"$header\"" -r ../dataplane ../include; done)
    [ -z "$wrong" ] || { echo "$wrong"; return 1; }
}

# Whose contracts the headers of include/flashrelay are.
contracts='
    base:    address clock counter histogram list log random snapshot thread waker
    http:    http
    ws:      ws ws_client ws_upgrade ws_uri
    codec:   brotli_codec
    channel: channel holds selection
    encode:  encoder
    engine:  descriptor_budget engine engine_dpdk engine_kind engine_sim engine_tcp engine_uring
    ingest:  ingest
    shard:   access admission shard
    relay:   relay'

# Prints each row of the table of folders in dataplane/README.md: a folder, then the folders that it may use.
folder_rows() {
    local folder cell above=''
    sed -nE 's/^\| `([a-z]+)\/` \|.*\| ([^|]*) \|$/\1 \2/p' dataplane/README.md | while read -r folder cell; do
        if [ "$cell" = "all of these" ]; then
            echo "$folder$above"
        else
            echo "$folder" "$(grep -oE '`[a-z]+`' <<<"$cell" | tr -d '`' | tr '\n' ' ')"
        fi
        above+=" $folder"
    done
}

# Each folder of dataplane/, and its contracts, include only what its row in dataplane/README.md allows; a row allows only rows above it.
folders() {
    local -A folder_of=() may_use=()
    local wrong='' above=' ' folder names name file line included from to
    while IFS=: read -r folder names; do
        for name in $names; do folder_of[$name]=${folder// /}; done
    done <<<"$contracts"
    while read -r folder names; do
        for name in $names; do [[ $above == *" $name "* ]] || wrong+="dataplane/README.md: $name/ does not stand above $folder/"$'\n'; done
        above+="$folder "
        may_use[$folder]=" $folder $names "
    done < <(folder_rows)
    for folder in dataplane/*/; do
        [[ $above == *" $(basename "$folder") "* ]] || wrong+="dataplane/README.md: no row for $folder"$'\n'
    done
    for file in include/flashrelay/*.h; do
        name=$(basename "$file" .h)
        [ -n "${folder_of[$name]-}" ] || wrong+="tools/lint.sh: $file is the contract of no folder"$'\n'
    done
    while IFS=: read -r file line included; do
        included=${included#*\"} included=${included%\"*}
        from=${file#dataplane/} from=${from%%/*}
        [[ $file != include/* ]] || { name=$(basename "$file" .h); from=${folder_of[$name]-}; }
        to=${included%%/*}
        [ "$to" != flashrelay ] || { name=$(basename "$included" .h); to=${folder_of[$name]-}; }
        [[ ${may_use[$from]-} == *" $to "* ]] || wrong+="$file:$line: $from/ may not use $included of $to/"$'\n'
    done < <(grep -rnE '#include "' dataplane include --include='*.[ch]')
    [ -z "$wrong" ] || { printf '%s' "$wrong"; return 1; }
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
check "order of folders" folders
check "no circles" circles
check "citations" citations
check "clang-format" format
check "cppcheck" cpp_check
check "clang-tidy" tidy
exit $failed
