/*
 * What an operator can set: every flag of the reference proxies and flashrelay's own. A flag takes precedence over the
 * environment variable of the same meaning, and that over a line of the .env file.
 */
#ifndef CONTROL_OPTIONS_OPTIONS_H
#define CONTROL_OPTIONS_OPTIONS_H

#include "access/keys.h"
#include "flashrelay/address.h"
#include "flashrelay/engine.h"
#include "flashrelay/engine_dpdk.h"
#include "flashrelay/log.h"
#include "flashrelay/ws_uri.h"
#include "machine/machine.h"
#include "options/dotenv.h"

#include <stdio.h>

#define OPTIONS_MAX_UPSTREAMS 256
#define OPTIONS_ERROR_BYTES   512

enum log_rotation { LOG_ROTATION_NEVER, LOG_ROTATION_MINUTELY, LOG_ROTATION_HOURLY, LOG_ROTATION_DAILY };

struct uri_list {
    struct ws_uri *uris;
    unsigned count;
};

/* The addresses of a port, with their networks. */
struct network_list {
    struct engine_dpdk_address networks[ENGINE_DPDK_ADDRESSES];
    unsigned count;
};

struct ip_list {
    struct ip_address ips[ENGINE_DPDK_ADDRESSES];
    unsigned count;
};

struct core_list {
    int *cores;
    unsigned count;
};

struct options {
    struct uri_list upstreams;
    char *upstream_ca; /* NULL: the system's roots */
    uint64_t subscriber_max_interval_ms, subscriber_ping_interval_ms, subscriber_pong_timeout_ms;

    struct address listen_addr;
    uint64_t message_buffer_size; /* frames */
    bool enable_compression;
    bool client_ping_enabled;
    uint64_t client_ping_interval_ms, client_pong_timeout_ms;
    uint64_t client_send_timeout_ms; /* 0: none */
    uint64_t health_grace_ms;        /* 0: healthy whatever the upstreams do */

    struct api_keys api_keys;
    bool public_access; /* /ws stays open although there are keys */
    uint64_t instance_connection_limit;
    uint64_t per_ip_connection_limit; /* 0: none */
    char *ip_addr_http_header;        /* empty: none is trusted */

    bool metrics;
    struct address metrics_addr;
    char *metrics_global_labels;
    bool metrics_host_label;

    enum log_level log_level;
    enum log_format log_format;
    bool log_quiet;
    char *log_directory; /* NULL: no file */
    enum log_format log_file_format;
    enum log_rotation log_rotation;

    uint64_t shards;
    uint64_t log_memory_bytes; /* of all channels together */
    uint64_t max_message_bytes, notsent_lowat_bytes;
    bool busy_poll;
    const char *engine; /* name of a kind, or "auto"; static */
    enum engine_zerocopy zerocopy;
    struct core_list cpu_list; /* empty: threads are not pinned */

    char *dpdk_port, *eal; /* NULL: none */
    struct network_list dpdk_addresses;
    struct ip_list dpdk_gateways;
    uint64_t dpdk_mtu, dpdk_vlan; /* vlan 0: none */
    bool dpdk_offload;
    bool dpdk_check; /* only say what the port can do, and end */

    /* The machine, and which values no source has set, so that they were chosen for it. */
    struct machine machine;
    bool shards_by_default, log_memory_by_default, max_message_by_default;
};

/* Where values come from. */
struct options_sources {
    char *const *arguments;   /* without the program's name, NULL-terminated */
    char *const *environment; /* NULL-terminated */
    const struct dotenv *file;
    const struct machine *machine; /* for the defaults that depend on it */
};

enum options_outcome { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_BAD };

/*
 * Fills `options` with what the sources say, else with defaults. OPTIONS_BAD: `error` is one line that names the flag or
 * variable, what it was given (but no secret) and what was expected. Faults that do not prevent the start are added to `warnings`. --help
 * and --version are found before variables and file are read. Call options_dispose whatever the outcome.
 */
enum options_outcome options_read(struct options *options, const struct options_sources *sources, struct warnings *warnings,
                                  char error[OPTIONS_ERROR_BYTES]);
void options_dispose(struct options *options);

/* Every flag with its default and meaning, by group, at most 100 columns wide. */
void options_print_help(FILE *out);

#endif
