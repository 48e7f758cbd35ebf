/* The command line, environment variables and the .env file: defaults, values of every type, precedence, and error texts. */
#include "options/dpdk_settings.h"
#include "options/options.h"
#include "options/types.h"

#include "flashrelay/engine_kind.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UPSTREAM "--upstream-ws", "ws://b:1"

static const struct machine large = {.processors = 4, .quota_millis = UINT64_MAX, .memory_limit_bytes = UINT64_MAX};

static struct options options;
static struct dotenv file;
static struct warnings warnings;
static struct machine machine;
static char error[OPTIONS_ERROR_BYTES];

static int dispose(void **state)
{
    (void)state;
    machine = large;
    options_dispose(&options);
    dotenv_dispose(&file);
    warnings_dispose(&warnings);
    return 0;
}

/*
 * Reads the options for the machine in `machine` from NULL-terminated lists of arguments and variables, and from the text of a .env file,
 * which may be NULL.
 */
static enum options_outcome read_all(const char *const *arguments, const char *const *environment, const char *file_text)
{
    struct options_sources sources = {(char *const *)(uintptr_t)arguments, (char *const *)(uintptr_t)environment, NULL, &machine};

    options_dispose(&options);
    dotenv_dispose(&file);
    warnings_dispose(&warnings);
    if (file_text) {
        assert_int_equal(dotenv_parse(&file, ".env", file_text, strlen(file_text), NULL, &warnings), 0);
        sources.file = &file;
    }
    error[0] = 0;
    return options_read(&options, &sources, &warnings, error);
}

#define LIST(...)                       \
    (const char *const[])               \
    {                                   \
        __VA_ARGS__ __VA_OPT__(, ) NULL \
    }
#define READ(...) read_all(LIST(__VA_ARGS__), LIST(), NULL)

static void defaults_are_the_references(void **state)
{
    char text[ADDRESS_TEXT_BYTES];

    (void)state;
    assert_int_equal(READ(UPSTREAM), OPTIONS_RUN);
    assert_string_equal(address_format(&options.listen_addr, text), "0.0.0.0:8545");
    assert_string_equal(address_format(&options.metrics_addr, text), "0.0.0.0:9000");
    assert_int_equal(options.message_buffer_size, 20);
    assert_int_equal(options.instance_connection_limit, 100);
    assert_int_equal(options.per_ip_connection_limit, 10);
    assert_false(options.enable_compression);
    assert_string_equal(options.ip_addr_http_header, "X-Forwarded-For");
    assert_int_equal(options.log_level, LOG_INFO);
    assert_int_equal(options.log_format, LOG_TEXT);
    assert_int_equal(options.log_file_format, LOG_JSON);
    assert_int_equal(options.log_rotation, LOG_ROTATION_NEVER);
    assert_null(options.log_directory);
    assert_true(options.metrics);
    assert_string_equal(options.metrics_global_labels, "");
    assert_false(options.metrics_host_label);
    assert_int_equal(options.api_keys.count, 0);
    assert_false(options.public_access);
    assert_int_equal(options.subscriber_max_interval_ms, 20000);
    assert_int_equal(options.subscriber_ping_interval_ms, 2000);
    assert_int_equal(options.subscriber_pong_timeout_ms, 4000);
    assert_false(options.client_ping_enabled);
    assert_int_equal(options.client_ping_interval_ms, 15000);
    assert_int_equal(options.client_pong_timeout_ms, 30000);
    assert_int_equal(options.client_send_timeout_ms, 1000);
    assert_int_equal(options.health_grace_ms, 0);
    assert_int_equal(options.log_memory_bytes, 128 << 20);
    assert_int_equal(options.max_message_bytes, 32 << 20);
    assert_int_equal(options.notsent_lowat_bytes, 64 << 10);
    assert_false(options.busy_poll);
    assert_int_equal(options.zerocopy, ENGINE_ZEROCOPY_AUTO);
    assert_int_equal(options.cpu_list.count, 0);
    assert_int_equal(options.shards, 3);
    assert_true(options.shards_by_default && options.log_memory_by_default && options.max_message_by_default);
}

/* Every entry of the table has a default, or a note about it, and a meaning; its flag and its variable have names of their own. */
static void table_is_sound(void **state)
{
    char variable[OPTION_VARIABLE_BYTES], other[OPTION_VARIABLE_BYTES];

    (void)state;
    assert_non_null(option_table[0].group);
    for (unsigned i = 0; i < option_table_count; i++) {
        const struct option *option = &option_table[i];
        assert_true(option->initial || option->default_note);
        assert_non_null(option->meaning);
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(option->name, option_table[j].name);
            assert_string_not_equal(option_variable(option, variable), option_variable(&option_table[j], other));
        }
    }
}

static void every_kind_of_engine_can_be_asked_for(void **state)
{
    (void)state;
    assert_int_equal(READ(UPSTREAM), OPTIONS_RUN);
    assert_string_equal(options.engine, "auto");
    for (unsigned i = 0; engine_kinds[i]; i++) {
        assert_int_equal(
            READ(UPSTREAM, "--engine", engine_kinds[i]->name, "--dpdk-port=net_null0", "--dpdk-address=192.0.2.10/24"),
            OPTIONS_RUN);
        assert_string_equal(options.engine, engine_kinds[i]->name);
        assert_non_null(strstr(option_engine.value_name, engine_kinds[i]->name));
    }
    assert_int_equal(read_all(LIST(UPSTREAM, "--engine=AUTO"), LIST("ENGINE=epoll"), NULL), OPTIONS_RUN);
    assert_string_equal(options.engine, "auto");
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("ENGINE=epoll"), NULL), OPTIONS_RUN);
    assert_string_equal(options.engine, "epoll");
    assert_int_equal(READ(UPSTREAM, "--engine", "steam"), OPTIONS_BAD);
    assert_non_null(strstr(error, "expected auto, uring, epoll or dpdk"));
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("ENGINE=steam"), NULL), OPTIONS_RUN);
    assert_string_equal(options.engine, "auto");
    assert_non_null(strstr(warnings.texts[0], "ENGINE=steam is left out: expected auto, uring, epoll or dpdk"));
}

#define DPDK "--engine=dpdk", "--dpdk-port=3b:00.0"

static void a_port_of_dpdk_has_addresses_and_gateways(void **state)
{
    struct engine_dpdk_options dpdk;

    (void)state;
    assert_int_equal(READ(UPSTREAM, DPDK, "--dpdk-address", "192.0.2.10/24,2001:db8::10/64", "--dpdk-address=198.51.100.1/31",
                          "--dpdk-gateway=192.0.2.1,fe80::1", "--dpdk-vlan=7", "--dpdk-offload=off", "--eal", "--no-huge -m 512"),
                     OPTIONS_RUN);
    dpdk = dpdk_settings_of(&options);
    assert_string_equal(dpdk.port, "3b:00.0");
    assert_string_equal(dpdk.eal, "--no-huge -m 512");
    assert_int_equal(dpdk.address_count, 3);
    assert_int_equal(dpdk.addresses[0].prefix_bits, 24);
    assert_int_equal(dpdk.addresses[0].ip.bytes[15], 10);
    assert_int_equal(dpdk.addresses[1].prefix_bits, 64);
    assert_int_equal(dpdk.addresses[2].prefix_bits, 31);
    assert_int_equal(dpdk.gateway_count, 2);
    assert_int_equal(dpdk.gateways[1].bytes[0], 0xfe);
    assert_int_equal(dpdk.mtu, 1500);
    assert_int_equal(dpdk.vlan, 7);
    assert_false(dpdk.offload);
    assert_false(options.dpdk_check);
}

static void what_the_engine_dpdk_lacks_is_named(void **state)
{
    static const struct {
        const char *flags[3];
        const char *text;
    } cases[] = {
        {{"--dpdk-address=192.0.2.10/24"}, "--dpdk-port: expected a port"},
        {{"--dpdk-port=3b:00.0"}, "--dpdk-address: expected an address"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10"}, "--dpdk-address 192.0.2.10: expected addresses"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/33"}, "expected addresses of the port with their prefix"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/0"}, "expected addresses of the port with their prefix"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/24x"}, "expected addresses of the port with their prefix"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=224.0.0.1/24"}, "expected addresses of the port with their prefix"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=::1/128"}, "expected addresses of the port with their prefix"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/24,192.0.2.10/25"}, "expected each address once"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/24", "--dpdk-gateway=192.0.3.1"},
         "--dpdk-gateway 192.0.3.1: expected an address in one of the networks"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/30", "--dpdk-gateway=192.0.2.12"},
         "--dpdk-gateway 192.0.2.12: expected an address in one of the networks"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/24", "--dpdk-gateway=fe80::1"}, "--dpdk-gateway fe80::1: expected"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=2001:db8::1/64", "--dpdk-mtu=1279"}, "--dpdk-mtu 1279: expected at least 1280"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/24", "--dpdk-mtu=575"},
         "--dpdk-mtu 575: expected a whole number from 576"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/24", "--dpdk-offload=on"}, "--dpdk-offload on: expected auto or off"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/24", "--listen-addr=192.0.2.11:1"},
         "--listen-addr 192.0.2.11:1: expected 0.0.0.0, [::] or one of --dpdk-address"},
        {{"--dpdk-port=3b:00.0", "--dpdk-address=192.0.2.10/24", "--listen-addr=0.0.0.0:0"},
         "--listen-addr 0.0.0.0:0: expected a port other than 0 with --engine dpdk"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const *flags = cases[i].flags;

        assert_int_equal(READ(UPSTREAM, "--engine=dpdk", flags[0], flags[1], flags[2]), OPTIONS_BAD);
        if (!strstr(error, cases[i].text))
            fail_msg("\"%s\" does not say: %s", error, cases[i].text);
    }
    assert_int_equal(READ(UPSTREAM, DPDK, "--dpdk-address=192.0.2.10/24", "--listen-addr=192.0.2.10:1"), OPTIONS_RUN);
    assert_int_equal(READ(UPSTREAM, DPDK, "--dpdk-address=192.0.2.10/25", "--dpdk-gateway=192.0.2.127"), OPTIONS_RUN);
}

static void a_port_can_be_checked_without_upstreams(void **state)
{
    (void)state;
    assert_int_equal(READ("--dpdk-check", "--dpdk-port=net_tap0", "--dpdk-address=192.0.2.10/24"), OPTIONS_RUN);
    assert_true(options.dpdk_check);
    assert_int_equal(READ("--dpdk-check", "--dpdk-port=net_tap0"), OPTIONS_BAD);
}

static void a_port_without_its_engine_is_a_warning(void **state)
{
    (void)state;
    assert_int_equal(READ(UPSTREAM, "--dpdk-port=net_tap0"), OPTIONS_RUN);
    assert_string_equal(warnings.texts[0], "--dpdk-port has no effect without --engine dpdk");
}

static void flag_over_variable_over_file(void **state)
{
    (void)state;
    assert_int_equal(read_all(LIST(UPSTREAM), LIST(), "SHARDS=2\nMETRICS=false"), OPTIONS_RUN);
    assert_int_equal(options.shards, 2);
    assert_false(options.metrics);
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("SHARDS=3"), "SHARDS=2"), OPTIONS_RUN);
    assert_int_equal(options.shards, 3);
    assert_int_equal(read_all(LIST(UPSTREAM, "--shards", "4"), LIST("SHARDS=3"), "SHARDS=2"), OPTIONS_RUN);
    assert_int_equal(options.shards, 4);
    assert_int_equal(read_all(LIST(UPSTREAM, "--shards", "4"), LIST("SHARDS=x"), "SHARDS=y"), OPTIONS_RUN);
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("SHARDS=3"), "SHARDS=y"), OPTIONS_RUN);
}

static void lists_are_replaced_by_the_stronger_source(void **state)
{
    (void)state;
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("UPSTREAM_WS=ws://c:2,ws://d:3"), "UPSTREAM_WS=ws://e"), OPTIONS_RUN);
    assert_int_equal(options.upstreams.count, 1);
    assert_int_equal(options.upstreams.uris[0].port, 1);
    assert_int_equal(read_all(LIST(), LIST("UPSTREAM_WS=ws://c:2,ws://d:3"), "UPSTREAM_WS=ws://e"), OPTIONS_RUN);
    assert_int_equal(options.upstreams.count, 2);
    assert_int_equal(options.upstreams.uris[1].port, 3);
    assert_int_equal(READ("--upstream-ws=ws://a:1", "--upstream-ws", "wss://b:2,ws://[::1]:3/p?q=1"), OPTIONS_RUN);
    assert_int_equal(options.upstreams.count, 3);
    assert_true(options.upstreams.uris[1].tls);
    assert_int_equal(READ(UPSTREAM, "--api-keys", "a:k:1,b:l", "--api-keys=c:m"), OPTIONS_RUN);
    assert_int_equal(options.api_keys.count, 3);
}

static void switches(void **state)
{
    (void)state;
    assert_int_equal(READ(UPSTREAM, "--enable-compression", "--client-ping-enabled=true", "--metrics=false"), OPTIONS_RUN);
    assert_true(options.enable_compression);
    assert_true(options.client_ping_enabled);
    assert_false(options.metrics);
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("METRICS=0", "BUSY_POLL=TRUE", "PUBLIC_ACCESS_ENABLED=1"), NULL), OPTIONS_RUN);
    assert_false(options.metrics);
    assert_true(options.busy_poll);
    assert_true(options.public_access);
    assert_int_equal(READ(UPSTREAM, "--metrics", "false"), OPTIONS_BAD);
    assert_string_equal(error, "argument 4: expected a flag, or --metrics=true or --metrics=false before it");
}

static void logging_of_both_references(void **state)
{
    (void)state;
    assert_int_equal(READ(UPSTREAM, "--log-level", "DEBUG", "--log-format", "JSON"), OPTIONS_RUN);
    assert_int_equal(options.log_level, LOG_DEBUG);
    assert_int_equal(options.log_format, LOG_JSON);
    assert_int_equal(READ(UPSTREAM, "-vv", "-q", "--logs.stdout.format=logfmt"), OPTIONS_RUN);
    assert_int_equal(options.log_level, LOG_WARN);
    assert_int_equal(options.log_format, LOG_LOGFMT);
    assert_true(options.log_quiet);
    assert_int_equal(READ(UPSTREAM, "-v", "--verbose", "-vv"), OPTIONS_RUN);
    assert_int_equal(options.log_level, LOG_DEBUG);
    assert_int_equal(READ(UPSTREAM, "-vvvvvvvv", "--quiet"), OPTIONS_RUN);
    assert_int_equal(options.log_level, LOG_TRACE);
    assert_true(options.log_quiet);
    assert_int_equal(read_all(LIST(UPSTREAM),
                              LIST("WEBSOCKET_PROXY_LOG_VERBOSITY=1", "WEBSOCKET_PROXY_LOG_FORMAT=compact",
                                   "WEBSOCKET_PROXY_LOG_DIR=/x", "LOGS_FILE_FORMAT=full", "LOGS_FILE_ROTATION=hourly"),
                              NULL),
                     OPTIONS_RUN);
    assert_int_equal(options.log_level, LOG_ERROR);
    assert_int_equal(options.log_format, LOG_TEXT);
    assert_string_equal(options.log_directory, "/x");
    assert_int_equal(options.log_file_format, LOG_TEXT);
    assert_int_equal(options.log_rotation, LOG_ROTATION_HOURLY);
    /* Two flags that set the same value: the source with the higher precedence wins, whichever of the two it sets. */
    assert_int_equal(read_all(LIST(UPSTREAM, "--log-level=debug"), LIST("WEBSOCKET_PROXY_LOG_VERBOSITY=1"), NULL), OPTIONS_RUN);
    assert_int_equal(options.log_level, LOG_DEBUG);
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("LOG_LEVEL=debug"), "WEBSOCKET_PROXY_LOG_VERBOSITY=1"), OPTIONS_RUN);
    assert_int_equal(options.log_level, LOG_DEBUG);
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"1073741824", 1 << 30}, {"1048576K", 1 << 30}, {"1024MiB", 1 << 30}, {"1G", 1 << 30}, {"1gib", 1 << 30}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(READ(UPSTREAM, "--log-memory", cases[i].text), OPTIONS_RUN);
        assert_int_equal(options.log_memory_bytes, cases[i].bytes);
    }
    assert_int_equal(READ(UPSTREAM, "--log-memory", "17179869184G"), OPTIONS_BAD);
    assert_int_equal(READ(UPSTREAM, "--log-memory", "1T"), OPTIONS_BAD);
    assert_int_equal(READ(UPSTREAM, "--log-memory", "G"), OPTIONS_BAD);
    assert_int_equal(READ(UPSTREAM, "--log-memory", "-1"), OPTIONS_BAD);
    assert_int_equal(READ(UPSTREAM, "--log-memory", "99999999999999999999"), OPTIONS_BAD);
}

static void log_memory_holds_two_messages(void **state)
{
    (void)state;
    assert_int_equal(READ(UPSTREAM, "--log-memory", "64M"), OPTIONS_RUN);
    assert_int_equal(READ(UPSTREAM, "--log-memory", "67108863"), OPTIONS_BAD);
    assert_string_equal(error, "--log-memory 67108863: expected at least twice --max-message-bytes 33554432, which is 67108864");
    assert_int_equal(READ(UPSTREAM, "--max-message-bytes=65M"), OPTIONS_BAD);
}

static void both_channels_hold_two_messages(void **state)
{
    (void)state;
    assert_int_equal(READ(UPSTREAM, "--enable-compression"), OPTIONS_RUN);
    assert_int_equal(READ(UPSTREAM, "--enable-compression", "--log-memory", "4M", "--max-message-bytes", "1M"), OPTIONS_RUN);
    assert_int_equal(READ(UPSTREAM, "--enable-compression", "--log-memory", "3M", "--max-message-bytes", "1M"), OPTIONS_BAD);
    assert_string_equal(error, "--log-memory 3145728: expected at least four times --max-message-bytes 1048576 with "
                               "--enable-compression, which is 4194304");
}

static void shards_are_the_least_of_limit_affinity_and_quota_less_one(void **state)
{
    static const struct {
        uint64_t processors, quota_millis, shards;
    } cases[] = {{1, UINT64_MAX, 1},      {2, UINT64_MAX, 1},  {128, UINT64_MAX, 127}, {129, UINT64_MAX, 127},
                 {4096, UINT64_MAX, 127}, {4096, 200000, 127}, {64, 3000, 2},          {64, 3999, 2},
                 {64, 2999, 1},           {64, 500, 1},        {4, UINT64_C(64000), 3}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        machine.processors = cases[i].processors;
        machine.quota_millis = cases[i].quota_millis;
        assert_int_equal(READ(UPSTREAM), OPTIONS_RUN);
        assert_int_equal(options.shards, cases[i].shards);
    }
    assert_int_equal(READ(UPSTREAM, "--shards=5"), OPTIONS_RUN);
    assert_int_equal(options.shards, 5);
    assert_false(options.shards_by_default);
}

static void a_small_container_gets_a_smaller_log(void **state)
{
    static const struct {
        uint64_t limit_mib, log_mib, message_mib, message_mib_of_two;
    } cases[] = {{128, 32, 16, 8}, {256, 64, 32, 16}, {448, 112, 32, 28}, {512, 128, 32, 32}, {4096, 128, 32, 32}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        machine.memory_limit_bytes = cases[i].limit_mib << 20;
        assert_int_equal(READ(UPSTREAM), OPTIONS_RUN);
        assert_int_equal(options.log_memory_bytes, cases[i].log_mib << 20);
        assert_int_equal(options.max_message_bytes, cases[i].message_mib << 20);
        assert_int_equal(READ(UPSTREAM, "--enable-compression"), OPTIONS_RUN);
        assert_int_equal(options.log_memory_bytes, cases[i].log_mib << 20);
        assert_int_equal(options.max_message_bytes, cases[i].message_mib_of_two << 20);
    }
}

static void what_is_said_goes_over_what_a_container_has(void **state)
{
    (void)state;
    machine.memory_limit_bytes = 128 << 20;
    assert_int_equal(READ(UPSTREAM, "--log-memory=8M"), OPTIONS_RUN);
    assert_int_equal(options.log_memory_bytes, 8 << 20);
    assert_int_equal(options.max_message_bytes, 4 << 20);
    assert_false(options.log_memory_by_default);
    assert_int_equal(READ(UPSTREAM, "--max-message-bytes=8M"), OPTIONS_RUN);
    assert_int_equal(options.log_memory_bytes, 32 << 20);
    assert_int_equal(options.max_message_bytes, 8 << 20);
    assert_false(options.max_message_by_default);
    assert_int_equal(READ(UPSTREAM, "--max-message-bytes=32M"), OPTIONS_BAD);
    assert_string_equal(error, "--log-memory 33554432 (a quarter of the container's memory): expected at least twice "
                               "--max-message-bytes 33554432, which is 67108864");
}

/* Whatever the limit, the defaults alone are never refused. */
static void no_container_is_too_small_for_the_defaults(void **state)
{
    static const uint64_t limits[] = {0, 1, 4096, 65537, 1000000, 100000000};

    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        machine.memory_limit_bytes = limits[i];
        assert_int_equal(READ(UPSTREAM), OPTIONS_RUN);
        assert_int_equal(READ(UPSTREAM, "--enable-compression"), OPTIONS_RUN);
    }
}

static void cores_are_parsed(void **state)
{
    cpu_set_t allowed;
    unsigned first = 0;
    char text[64];

    (void)state;
    sched_getaffinity(0, sizeof allowed, &allowed);
    while (!CPU_ISSET(first, &allowed))
        first++;
    snprintf(text, sizeof text, "%u,%u-%u,%u", first, first, first, first);
    assert_int_equal(READ(UPSTREAM, "--cpu-list", text), OPTIONS_RUN);
    assert_int_equal(options.cpu_list.count, 3);
    assert_int_equal(options.cpu_list.cores[2], first);
    assert_int_equal(READ(UPSTREAM, "--cpu-list", "1023"), OPTIONS_BAD);
    assert_string_equal(error, "--cpu-list 1023: expected cores that this process may run on, which 1023 is not");
}

static void errors_name_flag_value_and_expectation(void **state)
{
    static const struct {
        const char *flag, *value, *error;
    } cases[] = {
        {"--shards", "0", "--shards 0: expected a whole number from 1 to 127"},
        {"--shards", "128", "--shards 128: expected a whole number from 1 to 127"},
        {"--shards", "", "--shards \"\": expected a whole number from 1 to 127"},
        {"--shards", "2x", "--shards 2x: expected a whole number from 1 to 127"},
        {"--shards", "-2", "--shards -2: expected a whole number from 1 to 127"},
        {"--message-buffer-size", "0",
         "--message-buffer-size 0: expected a whole number from 1 to 4294967295; with 0 nobody could fall"},
        {"--listen-addr", "localhost:1", "--listen-addr localhost:1: expected an IP address and a port, as in"},
        {"--log-level", "loud", "--log-level loud: expected error, warn, info, debug or trace"},
        {"--log-format", "x\ny", "--log-format x?y: expected text, json or logfmt"},
        {"--zerocopy", "yes", "--zerocopy yes: expected auto, on or off"},
        {"--cpu-list", "0-", "--cpu-list 0-: expected cores and ranges of cores"},
        {"--cpu-list", "1-0", "--cpu-list 1-0: expected cores and ranges of cores"},
        {"--cpu-list", "0;1", "--cpu-list 0;1: expected cores and ranges of cores"},
        {"--cpu-list", "0,", "--cpu-list 0,: expected cores and ranges of cores"},
        {"--logs.file.rotation", "weekly", "--logs.file.rotation weekly: expected minutely, hourly, daily or never"},
        {"--ip-addr-http-header", "a b", "--ip-addr-http-header a b: expected the name of an HTTP header"},
        {"--metrics=maybe", NULL, "--metrics maybe: expected true or false"},
        {"--verbose=3", NULL, "--verbose=3: expected no value; repeat the flag instead"},
        {"--shards", NULL, "--shards: expected a value: --shards N"},
        {"--shards", "--metrics", "--shards: expected a value: --shards N"},
        {"--listen-adr", "x", "--listen-adr: no such flag; did you mean --listen-addr?"},
        {"--message-buffer=5", NULL, "--message-buffer: no such flag; did you mean --message-buffer-size?"},
        {"--frobnicate", NULL, "--frobnicate: no such flag; --help lists them"},
        {"-x", NULL, "-x: no such flag; --help lists them"},
        {"--", NULL, "--: no such flag; --help lists them"},
        {"-v@", NULL, "-@: no such flag; --help lists them"},
        {"--shards=2", "word", "argument 4: expected a flag; --help lists them"},
        {"--upstream-ca=1", "--upstream-ca=2", "--upstream-ca: given twice; expected once"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(READ(UPSTREAM, cases[i].flag, cases[i].value), OPTIONS_BAD);
        assert_memory_equal(error, cases[i].error, strlen(cases[i].error));
        assert_null(strchr(error, '\n'));
    }
}

static void errors_name_variable_and_file(void **state)
{
    (void)state;
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("SHARDS=many"), NULL), OPTIONS_BAD);
    assert_string_equal(error, "variable SHARDS=many: expected a whole number from 1 to 127");
    assert_int_equal(read_all(LIST(UPSTREAM), LIST(), "SHARDS=many"), OPTIONS_BAD);
    assert_string_equal(error, ".env: SHARDS=many: expected a whole number from 1 to 127");
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("WEBSOCKET_PROXY_LOG_VERBOSITY=info!"), NULL), OPTIONS_BAD);
    assert_memory_equal(error, "variable WEBSOCKET_PROXY_LOG_VERBOSITY=info!: expected", 54);
}

static void upstreams_are_required(void **state)
{
    (void)state;
    assert_int_equal(READ(), OPTIONS_BAD);
    assert_string_equal(error, "--upstream-ws: expected at least one URI, as in ws://builder:1111");
}

static void secrets_are_never_shown(void **state)
{
    static const char *const cases[] = {
        "--upstream-ws=http://user:hush@host/?token=hush",
        "--upstream-ws=ws://ok,ws://user:hush@:99999999",
        "--api-keys=app:hush:hush",
        "--api-keys=app:hush:1:hush",
        "--redis-url=redis://:hush@host",
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(READ(cases[i]), OPTIONS_BAD);
        assert_null(strstr(error, "hush"));
        assert_memory_equal(error, cases[i], strcspn(cases[i], "="));
    }
    assert_int_equal(READ("--upstream-ws", "ws://a", "ws://user:hush@b"), OPTIONS_BAD);
    assert_string_equal(error, "--upstream-ws: expected its values separated by commas, without blanks");
}

static void redis_is_refused_wherever_it_is_given(void **state)
{
    (void)state;
    assert_int_equal(READ(UPSTREAM, "--redis-url", "redis://h"), OPTIONS_BAD);
    assert_non_null(strstr(error, "--redis-url: limits shared through Redis are not supported yet"));
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("REDIS_URL=redis://h"), NULL), OPTIONS_BAD);
    assert_non_null(strstr(error, "variable REDIS_URL: limits shared"));
    assert_int_equal(read_all(LIST(UPSTREAM), LIST(), "REDIS_URL=redis://h"), OPTIONS_BAD);
    assert_non_null(strstr(error, ".env: REDIS_URL: limits shared"));
}

static void redis_without_a_url_stops_nothing(void **state)
{
    (void)state;
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("REDIS_URL=", "REDIS_KEY_PREFIX=x"), NULL), OPTIONS_RUN);
    assert_int_equal(read_all(LIST(UPSTREAM), LIST(), "REDIS_URL=\nREDIS_KEY_PREFIX=x"), OPTIONS_RUN);
    assert_int_equal(READ(UPSTREAM, "--redis-url", "", "--redis-key-prefix=x"), OPTIONS_RUN);
    assert_int_equal(warnings.count, 0);
}

/* Other programs have variables of these names, too: values that are meant for them must not keep the relay from starting. */
static void foreign_values_of_common_variables_are_left_out(void **state)
{
    static const char *const levels[] = {"notice", "warp=debug", "", "WARNING", "info,h2=off"};
    char variable[64];

    (void)state;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        snprintf(variable, sizeof variable, "LOG_LEVEL=%s", levels[i]);
        assert_int_equal(read_all(LIST(UPSTREAM), LIST(variable, "RUST_LOG=warp=debug"), NULL), OPTIONS_RUN);
        assert_int_equal(options.log_level, LOG_INFO);
        assert_int_equal(warnings.count, 1);
        assert_non_null(strstr(warnings.texts[0], variable));
        assert_non_null(strstr(warnings.texts[0], " is left out: expected error, warn, info, debug or trace"));
    }
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("LOG_LEVEL=notice"), "LOG_LEVEL=debug\nLOG_FORMAT=xml"), OPTIONS_RUN);
    assert_int_equal(options.log_level, LOG_DEBUG); /* from the next source, the file */
    assert_int_equal(options.log_format, LOG_TEXT);
    assert_int_equal(warnings.count, 2);
    assert_int_equal(read_all(LIST(UPSTREAM), LIST("LOG_LEVEL=INFO"), NULL), OPTIONS_RUN);
    assert_int_equal(warnings.count, 0);
    assert_int_equal(READ(UPSTREAM, "--log-level=notice"), OPTIONS_BAD); /* a flag is meant for the relay */
}

static void help_and_version(void **state)
{
    (void)state;
    assert_int_equal(READ("--help"), OPTIONS_HELP);
    assert_int_equal(READ("-h"), OPTIONS_HELP);
    assert_int_equal(READ("--version"), OPTIONS_VERSION);
    assert_int_equal(READ("-V"), OPTIONS_VERSION);
    assert_int_equal(READ("--helpme"), OPTIONS_BAD);
}

static void help_shows_every_flag_within_100_columns(void **state)
{
    char *help = NULL, flag[64];
    size_t length;
    FILE *out = open_memstream(&help, &length);

    (void)state;
    options_print_help(out);
    fclose(out);
    for (unsigned i = 0; i < option_table_count; i++) {
        snprintf(flag, sizeof flag, "--%s", option_table[i].name);
        assert_non_null(strstr(help, flag));
    }
    for (const char *line = help; *line; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 100);
        assert_true(line[0] == '\n' || line[strcspn(line, "\n") - 1] != ' ');
    }
    free(help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(defaults_are_the_references, dispose),
        cmocka_unit_test_teardown(table_is_sound, dispose),
        cmocka_unit_test_teardown(every_kind_of_engine_can_be_asked_for, dispose),
        cmocka_unit_test_teardown(a_port_of_dpdk_has_addresses_and_gateways, dispose),
        cmocka_unit_test_teardown(what_the_engine_dpdk_lacks_is_named, dispose),
        cmocka_unit_test_teardown(a_port_can_be_checked_without_upstreams, dispose),
        cmocka_unit_test_teardown(a_port_without_its_engine_is_a_warning, dispose),
        cmocka_unit_test_teardown(flag_over_variable_over_file, dispose),
        cmocka_unit_test_teardown(lists_are_replaced_by_the_stronger_source, dispose),
        cmocka_unit_test_teardown(switches, dispose),
        cmocka_unit_test_teardown(logging_of_both_references, dispose),
        cmocka_unit_test_teardown(sizes, dispose),
        cmocka_unit_test_teardown(log_memory_holds_two_messages, dispose),
        cmocka_unit_test_teardown(both_channels_hold_two_messages, dispose),
        cmocka_unit_test_teardown(shards_are_the_least_of_limit_affinity_and_quota_less_one, dispose),
        cmocka_unit_test_teardown(a_small_container_gets_a_smaller_log, dispose),
        cmocka_unit_test_teardown(what_is_said_goes_over_what_a_container_has, dispose),
        cmocka_unit_test_teardown(no_container_is_too_small_for_the_defaults, dispose),
        cmocka_unit_test_teardown(cores_are_parsed, dispose),
        cmocka_unit_test_teardown(errors_name_flag_value_and_expectation, dispose),
        cmocka_unit_test_teardown(errors_name_variable_and_file, dispose),
        cmocka_unit_test_teardown(upstreams_are_required, dispose),
        cmocka_unit_test_teardown(secrets_are_never_shown, dispose),
        cmocka_unit_test_teardown(redis_is_refused_wherever_it_is_given, dispose),
        cmocka_unit_test_teardown(redis_without_a_url_stops_nothing, dispose),
        cmocka_unit_test_teardown(foreign_values_of_common_variables_are_left_out, dispose),
        cmocka_unit_test_teardown(help_and_version, dispose),
        cmocka_unit_test_teardown(help_shows_every_flag_within_100_columns, dispose),
    };
    machine = large;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
