/*
 * One stream as fast as the network allows, from the DPDK engine's TCP or from the kernel's, to a receiver on the kernel's TCP: what
 * run.py compares on a long and lossy wire. Three roles: --serve by the engine on a tap, --serve-kernel, --receive.
 */
#include "bypass_bulk/stream.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "Usage: bypass_bulk serve TAP ADDRESS/PREFIX PORT | serve-kernel PORT | receive ADDRESS:PORT SECONDS\n"
    "Sends, or receives, one stream as fast as the network allows. perf/bypass_bulk/run.py runs all roles.\n";

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "serve") == 0)
        return stream_serve(argv[2], argv[3], argv[4]);
    if (argc == 3 && strcmp(argv[1], "serve-kernel") == 0)
        return stream_serve_kernel(argv[2]);
    if (argc == 4 && strcmp(argv[1], "receive") == 0)
        return stream_receive(argv[2], argv[3]);
    fputs(usage, argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
    return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
