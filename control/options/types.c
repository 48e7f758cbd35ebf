#include "options/types.h"

#include "access/keys.h"
#include "machine/affinity.h"
#include "options/options.h"

#include "flashrelay/engine_kind.h"
#include "flashrelay/ws_uri.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int refuse(char expected[OPTION_EXPECTED_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(char expected[OPTION_EXPECTED_BYTES], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(expected, OPTION_EXPECTED_BYTES, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* A word of a fixed list and the value it stands for. */
struct word {
    const char *text;
    int value;
};

static int find_word(const struct word *words, size_t count, const char *text, int *value)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(words[i].text, text) == 0) {
            *value = words[i].value;
            return 0;
        }
    return -EINVAL;
}

#define FIND_WORD(words, text, value) find_word((words), sizeof(words) / sizeof((words)[0]), (text), (value))

/* The digits that `text` begins with; where they end in *end. -EINVAL if there are none, -ERANGE if they are too many. */
static int read_digits(const char *text, uint64_t *value, const char **end)
{
    *value = 0;
    for (*end = text; **end >= '0' && **end <= '9'; (*end)++)
        if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, (uint64_t)(**end - '0'), value))
            return -ERANGE;
    return *end == text ? -EINVAL : 0;
}

static int read_switch(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    static const struct word words[] = {{"true", true}, {"false", false}, {"1", true},  {"0", false},
                                        {"yes", true},  {"no", false},    {"y", true},  {"n", false},
                                        {"t", true},    {"f", false},     {"on", true}, {"off", false}};
    int value;

    (void)option;
    if (FIND_WORD(words, text, &value) < 0)
        return refuse(expected, "expected true or false");
    *(bool *)field = value;
    return 0;
}

static int read_number(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    const char *end;
    uint64_t value;

    if (read_digits(text, &value, &end) < 0 || *end || value < option->minimum || value > option->maximum)
        return refuse(expected, "expected a whole number from %" PRIu64 " to %" PRIu64 "%s", option->minimum, option->maximum,
                      option->bound_reason ? option->bound_reason : "");
    *(uint64_t *)field = value;
    return 0;
}

static int read_bytes(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    static const struct word units[] = {{"", 0},   {"B", 0},    {"K", 10}, {"KiB", 10},
                                        {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}};
    int shift = 0, wrong;
    const char *end;
    uint64_t value;

    wrong = read_digits(text, &value, &end) < 0 || FIND_WORD(units, end, &shift) < 0 || value > option->maximum >> shift ||
            value << shift < option->minimum;
    if (wrong)
        return refuse(expected,
                      "expected from %" PRIu64 " to %" PRIu64 " bytes, as a number or with K, M, G, KiB, MiB or GiB behind",
                      option->minimum, option->maximum);
    *(uint64_t *)field = value << shift;
    return 0;
}

static int read_address(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    (void)option;
    if (address_parse(field, text) < 0)
        return refuse(expected, "expected an IP address and a port, as in 0.0.0.0:8545 or [::]:8545");
    return 0;
}

static int read_text(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    char *copy = strdup(text);

    (void)option;
    (void)expected;
    if (!copy)
        return -ENOMEM;
    free(*(char **)field);
    *(char **)field = copy;
    return 0;
}

/* RFC 9110, 5.6.2: a token; or nothing. */
static int read_header_name(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    if (text[strspn(text, token)])
        return refuse(expected, "expected the name of an HTTP header, or nothing to trust none");
    return read_text(option, field, text, expected);
}

/* Splits a list at its commas and calls `add` with each item. */
static int read_list(void *list, const char *text, int (*add)(void *list, const char *item, char *expected), char *expected)
{
    char *copy = strdup(text), *rest = copy, *item;
    int result = copy ? 0 : -ENOMEM;

    while (result == 0 && (item = strsep(&rest, ",")))
        result = add(list, item, expected);
    free(copy);
    return result;
}

static int add_uri(void *field, const char *text, char *expected)
{
    struct uri_list *list = field;
    struct ws_uri *uris;
    const char *error;
    int result;

    if (list->count == OPTIONS_MAX_UPSTREAMS)
        return refuse(expected, "expected at most %d URIs", OPTIONS_MAX_UPSTREAMS);
    uris = realloc(list->uris, (list->count + 1) * sizeof *uris);
    if (!uris)
        return -ENOMEM;
    list->uris = uris;
    result = ws_uri_parse(&uris[list->count], text, &error);
    if (result == -EINVAL)
        return refuse(expected, "URI %u: %s; expected ws://host:port/path or wss://host:port/path", list->count + 1, error);
    list->count += result == 0;
    return result;
}

static int read_uris(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    (void)option;
    return read_list(field, text, add_uri, expected);
}

static int read_keys(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    (void)option;
    return keys_parse(field, text, expected, OPTION_EXPECTED_BYTES);
}

static int read_level(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    static const struct word words[] = {{"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG},
                                        {"trace", LOG_TRACE}, {"1", LOG_ERROR},   {"2", LOG_WARN},    {"3", LOG_INFO},
                                        {"4", LOG_DEBUG},     {"5", LOG_TRACE}};
    int value;

    (void)option;
    if (FIND_WORD(words, text, &value) < 0)
        return refuse(expected, "expected error, warn, info, debug or trace, or from 1 (error) to 5 (trace)");
    *(enum log_level *)field = (enum log_level)value;
    return 0;
}

static int read_log_format(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    static const struct word words[] = {{"text", LOG_TEXT},    {"full", LOG_TEXT}, {"pretty", LOG_TEXT},
                                        {"compact", LOG_TEXT}, {"json", LOG_JSON}, {"logfmt", LOG_LOGFMT}};
    int value;

    (void)option;
    if (FIND_WORD(words, text, &value) < 0)
        return refuse(expected, "expected text, json or logfmt (full, pretty and compact are text too)");
    *(enum log_format *)field = (enum log_format)value;
    return 0;
}

static int read_rotation(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    static const struct word words[] = {{"never", LOG_ROTATION_NEVER},
                                        {"minutely", LOG_ROTATION_MINUTELY},
                                        {"hourly", LOG_ROTATION_HOURLY},
                                        {"daily", LOG_ROTATION_DAILY}};
    int value;

    (void)option;
    if (FIND_WORD(words, text, &value) < 0)
        return refuse(expected, "expected minutely, hourly, daily or never");
    *(enum log_rotation *)field = (enum log_rotation)value;
    return 0;
}

static int read_engine(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    char names[OPTION_EXPECTED_BYTES] = "auto";

    (void)option;
    if (strcasecmp(text, "auto") == 0) {
        *(const char **)field = "auto";
        return 0;
    }
    for (unsigned i = 0; engine_kinds[i]; i++) {
        const char *name = engine_kinds[i]->name;
        size_t length = strlen(names);

        if (strcasecmp(text, name) == 0) {
            *(const char **)field = name;
            return 0;
        }
        snprintf(names + length, sizeof names - length, "%s%s", engine_kinds[i + 1] ? ", " : " or ", name);
    }
    return refuse(expected, "expected %s", names);
}

static int read_zerocopy(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    static const struct word words[] = {{"auto", ENGINE_ZEROCOPY_AUTO}, {"on", ENGINE_ZEROCOPY_ON}, {"off", ENGINE_ZEROCOPY_OFF}};
    int value;

    (void)option;
    if (FIND_WORD(words, text, &value) < 0)
        return refuse(expected, "expected auto, on or off");
    *(enum engine_zerocopy *)field = (enum engine_zerocopy)value;
    return 0;
}

static int add_core(struct core_list *list, uint64_t core, const cpu_set_t *allowed, size_t allowed_bytes,
                    char expected[OPTION_EXPECTED_BYTES])
{
    int *cores;

    if (core >= 8 * allowed_bytes || !CPU_ISSET_S(core, allowed_bytes, allowed))
        return refuse(expected, "expected cores that this process may run on, which %" PRIu64 " is not", core);
    if (list->count == CPU_SETSIZE)
        return refuse(expected, "expected at most %d cores", CPU_SETSIZE);
    cores = realloc(list->cores, (list->count + 1) * sizeof *cores);
    if (!cores)
        return -ENOMEM;
    list->cores = cores;
    cores[list->count++] = (int)core;
    return 0;
}

static int add_cores(struct core_list *list, const char *text, const cpu_set_t *allowed, size_t allowed_bytes,
                     char expected[OPTION_EXPECTED_BYTES])
{
    uint64_t first, last;
    int result = 0;

    do {
        if (read_digits(text, &first, &text) < 0)
            return refuse(expected, "expected cores and ranges of cores, as in 0,2-4");
        last = first;
        if (*text == '-' && (read_digits(text + 1, &last, &text) < 0 || last < first))
            return refuse(expected, "expected cores and ranges of cores, as in 0,2-4");
        for (uint64_t core = first; core <= last && result == 0; core++)
            result = add_core(list, core, allowed, allowed_bytes, expected);
    } while (result == 0 && *text++ == ',');
    if (result == 0 && text[-1])
        return refuse(expected, "expected cores and ranges of cores, as in 0,2-4");
    return result;
}

static int read_cores(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    size_t allowed_bytes;
    cpu_set_t *allowed = affinity_read(&allowed_bytes);
    int result;

    (void)option;
    if (!allowed)
        return -ENOMEM;
    result = add_cores(field, text, allowed, allowed_bytes, expected);
    CPU_FREE(allowed);
    return result;
}

/* True for the address of one machine in a network: not unspecified, loopback, multicast or broadcast (RFC 1122, 3.2.1.3; RFC 4291). */
static bool is_host_address(const struct ip_address *ip)
{
    const uint8_t *bytes = ip->bytes;
    static const uint8_t zeros[15];

    if (ip_address_is_v4(ip))
        return bytes[12] != 0 && bytes[12] != 127 && bytes[12] < 224;
    return bytes[0] != 0xff && (memcmp(bytes, zeros, 15) != 0 || bytes[15] > 1);
}

static int add_network(void *field, const char *item, char *expected)
{
    struct network_list *list = field;
    struct engine_dpdk_address *network = &list->networks[list->count];
    size_t length = strcspn(item, "/");
    const char *end = item;
    uint64_t bits = 0;

    if (list->count == ENGINE_DPDK_ADDRESSES)
        return refuse(expected, "expected at most %d addresses", ENGINE_DPDK_ADDRESSES);
    if (item[length] != '/' || ip_address_parse(&network->ip, item, length) < 0 || !is_host_address(&network->ip) ||
        read_digits(item + length + 1, &bits, &end) < 0 || *end || bits < 1 || bits > (ip_address_is_v4(&network->ip) ? 32 : 128))
        return refuse(expected, "expected addresses of the port with their prefix, as in 192.0.2.10/24,2001:db8::10/64");
    for (unsigned i = 0; i < list->count; i++)
        if (ip_address_equal(&list->networks[i].ip, &network->ip))
            return refuse(expected, "expected each address once");
    network->prefix_bits = (uint8_t)bits;
    list->count++;
    return 0;
}

static int read_networks(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    (void)option;
    return read_list(field, text, add_network, expected);
}

static int add_ip(void *field, const char *item, char *expected)
{
    struct ip_list *list = field;

    if (list->count == ENGINE_DPDK_ADDRESSES)
        return refuse(expected, "expected at most %d addresses", ENGINE_DPDK_ADDRESSES);
    if (ip_address_parse(&list->ips[list->count], item, strlen(item)) < 0 || !is_host_address(&list->ips[list->count]))
        return refuse(expected, "expected IP addresses, as in 192.0.2.1,fe80::1");
    list->count++;
    return 0;
}

static int read_ips(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    (void)option;
    return read_list(field, text, add_ip, expected);
}

static int read_offload(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    static const struct word words[] = {{"auto", true}, {"off", false}};
    int value;

    (void)option;
    if (FIND_WORD(words, text, &value) < 0)
        return refuse(expected, "expected auto or off");
    *(bool *)field = value;
    return 0;
}

static int read_refused(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    (void)option;
    (void)field;
    if (*text == '\0')
        return 0;
    return refuse(expected, "limits shared through Redis are not supported yet; leave it out, each instance then keeps its own");
}

static int read_unused(const struct option *option, void *field, const char *text, char expected[OPTION_EXPECTED_BYTES])
{
    (void)option;
    (void)field;
    (void)text;
    (void)expected;
    return 0;
}

const struct option_type option_switch = {.is_switch = true, .read = read_switch};
const struct option_type option_number = {.value_name = "N", .read = read_number};
const struct option_type option_bytes = {.value_name = "BYTES", .read = read_bytes};
const struct option_type option_address = {.value_name = "IP:PORT", .read = read_address};
const struct option_type option_file = {.value_name = "FILE", .read = read_text};
const struct option_type option_directory = {.value_name = "DIRECTORY", .read = read_text};
const struct option_type option_labels = {.value_name = "NAME=VALUE,...", .read = read_text};
const struct option_type option_header_name = {.value_name = "NAME", .read = read_header_name};
const struct option_type option_uris = {.value_name = "URI,...", .is_list = true, .read = read_uris};
const struct option_type option_keys = {.value_name = "APP:KEY[:LIMIT],...", .is_list = true, .read = read_keys};
const struct option_type option_level = {.value_name = "LEVEL", .read = read_level};
const struct option_type option_verbosity = {.is_count = true, .read = read_level};
const struct option_type option_log_format = {.value_name = "FORMAT", .read = read_log_format};
const struct option_type option_rotation = {.value_name = "WHEN", .read = read_rotation};
const struct option_type option_engine = {.value_name = "auto|uring|epoll|dpdk", .read = read_engine};
const struct option_type option_zerocopy = {.value_name = "auto|on|off", .read = read_zerocopy};
const struct option_type option_cores = {.value_name = "CORES", .read = read_cores};
const struct option_type option_port = {.value_name = "PORT", .read = read_text};
const struct option_type option_networks = {.value_name = "IP/PREFIX,...", .is_list = true, .read = read_networks};
const struct option_type option_ips = {.value_name = "IP,...", .is_list = true, .read = read_ips};
const struct option_type option_offload = {.value_name = "auto|off", .read = read_offload};
const struct option_type option_words = {.value_name = "ARGS", .is_arguments = true, .read = read_text};
const struct option_type option_refused = {.value_name = "TEXT", .read = read_refused};
const struct option_type option_unused = {.value_name = "TEXT", .read = read_unused};
