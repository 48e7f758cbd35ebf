/*
 * bare_loop: the floor. For each message it does what a relay cannot avoid, which is to hand the bytes to every socket, and nothing else:
 * no limits, no lag policy, no metrics. Started like any proxy: `bare_loop [--send | --forward] [--busy-poll] UPSTREAM LISTEN`.
 */
#include "bare_loop/bare_loop.h"

#include "common/process.h"
#include "flashrelay/ws_uri.h"

#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] = "usage: bare_loop [--send | --forward] [--busy-poll] ws://HOST:PORT/PATH ADDRESS:PORT\n"
                            "  --send       one send(2) per subscriber and message, instead of batched io_uring sends\n"
                            "  --forward    copies the upstream's bytes to a single subscriber: the floor of latency\n"
                            "  --busy-poll  never sleeps\n";

static void parse_options(int argc, char **argv, struct bare_options *options)
{
    static const struct option flags[] = {
        {"send", no_argument, NULL, 's'},
        {"forward", no_argument, NULL, 'f'},
        {"busy-poll", no_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *error = "";
    int flag;

    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        switch (flag) {
        case 's':
            options->mode = BARE_SEND;
            break;
        case 'f':
            options->mode = BARE_FORWARD;
            break;
        case 'b':
            options->busy_poll = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (argc - optind != 2) {
        fputs(usage, stderr);
        exit(2);
    }
    if (ws_uri_parse(&options->upstream, argv[optind], &error) != 0 || options->upstream.tls)
        errx(2, "upstream \"%s\": expected ws://HOST:PORT/PATH %s", argv[optind], error);
    if (address_parse(&options->listen, argv[optind + 1]) != 0)
        errx(2, "listen address \"%s\": expected ADDRESS:PORT", argv[optind + 1]);
}

int main(int argc, char **argv)
{
    struct bare_options options = {.mode = BARE_URING};

    parse_options(argc, argv, &options);
    process_raise_descriptor_limit();
    signal(SIGPIPE, SIG_IGN);
    int listener = bare_listen(&options.listen);
    int upstream = bare_connect_upstream(&options.upstream);
    int status =
        options.mode == BARE_FORWARD ? bare_forward(&options, upstream, listener) : bare_fan_out(&options, upstream, listener);
    ws_uri_dispose(&options.upstream);
    return status;
}
