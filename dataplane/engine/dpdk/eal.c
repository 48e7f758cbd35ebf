#include "engine/dpdk/eal.h"

#include "engine/dpdk/eal_log.h"
#include "engine/dpdk/explain.h"
#include "engine/dpdk/system.h"
#include "engine/dpdk/words.h"

#include <rte_eal.h>
#include <rte_errno.h>

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

/* EAL keeps pointers into its arguments. */
static struct words arguments;

static int add(const char *option, const char *value)
{
    int error = words_add(&arguments, option);

    return error == 0 && value ? words_add(&arguments, value) : error;
}

/* The lcore runs on the first core that this process may use, and is never put to work. */
static int add_lcore(void)
{
    char text[32];
    cpu_set_t cores;
    size_t core = 0;

    if (sched_getaffinity(0, sizeof cores, &cores) == 0)
        while (core < CPU_SETSIZE - 1 && !CPU_ISSET(core, &cores))
            core++;
    snprintf(text, sizeof text, "0@%zu", core);
    return add("--lcores", text);
}

static bool names_cores(const struct words *words)
{
    return words_have(words, "-l") || words_have(words, "-c") || words_have(words, "--lcores");
}

static int add_memory(size_t bytes)
{
    char text[32];

    if (!words_have(&arguments, "--no-huge"))
        return add("--in-memory", NULL);
    if (words_have(&arguments, "-m"))
        return add("--no-shconf", NULL);
    snprintf(text, sizeof text, "%" PRIu64, (bytes + MIB - 1) / MIB);
    return add("--no-shconf", NULL) == 0 ? add("-m", text) : -E2BIG;
}

static int add_device(const char *port)
{
    int error;

    if (system_is_pci(port))
        return add("-a", port);
    error = add("--vdev", port);
    /* Some devices that DPDK makes drive a card of PCI; the others need none, and no other card is to be taken from its owner. */
    return error == 0 && system_needs_no_card(port) ? add("--no-pci", NULL) : error;
}

static int collect(const struct dpdk_eal_options *options)
{
    int error = add("flashrelay", NULL);

    if (error == 0 && options->arguments)
        error = words_split(&arguments, options->arguments);
    if (error == 0)
        error = add("--no-telemetry", NULL);
    if (error == 0 && !names_cores(&arguments))
        error = add_lcore();
    if (error == 0)
        error = add_memory(options->memory_bytes);
    return error == 0 ? add_device(options->port) : error;
}

static int check_huge_pages(size_t needed, char *error, size_t capacity)
{
    struct system_huge_pages pages;

    system_read_huge_pages(&pages, "");
    if (pages.free_bytes >= needed)
        return 0;
    return explain(error, capacity, -ENOMEM,
                   "too few huge pages: %" PRIu64 " MiB are needed, %" PRIu64 " MiB are free; as root: echo %" PRIu64
                   " > /proc/sys/vm/nr_hugepages, or without them --eal --no-huge",
                   (needed + MIB - 1) / MIB, pages.free_bytes / MIB, system_huge_pages_for(&pages, needed));
}

/* rte_eal_init, with its output in the log, and the caller's affinity as it was. */
static int init(void)
{
    char *words[WORDS_MAX + 1];
    struct eal_console console;
    cpu_set_t cores;
    bool has_cores = sched_getaffinity(0, sizeof cores, &cores) == 0;
    int result = eal_log_enter(&console);

    if (result != 0)
        return result;
    memcpy(words, arguments.words, sizeof words); /* getopt changes their order */
    eal_log_expect_errors(true);
    result = rte_eal_init(arguments.count, words) < 0 ? -rte_errno : 0;
    eal_log_expect_errors(false);
    eal_log_leave(&console);
    if (has_cores)
        sched_setaffinity(0, sizeof cores, &cores);
    return result;
}

int dpdk_eal_start(const struct dpdk_eal_options *options, char *error, size_t error_capacity)
{
    int result = collect(options);

    if (result == -EINVAL)
        result = explain(error, error_capacity, result, "--eal %s: a quote does not end", options->arguments);
    else if (result == -E2BIG)
        result = explain(error, error_capacity, result, "--eal: expected at most %d words", WORDS_MAX - 8);
    else if (result != 0)
        result = explain(error, error_capacity, result, "%s", strerror(-result));
    if (result == 0 && !words_have(&arguments, "--no-huge"))
        result = check_huge_pages(options->memory_bytes, error, error_capacity);
    if (result == 0 && eal_log_open() != 0)
        result = explain(error, error_capacity, -ENOMEM, "%s", strerror(ENOMEM));
    if (result == 0) {
        result = init();
        if (result != 0)
            explain(error, error_capacity, result, "EAL does not start: %s (%s)", strerror(-result), eal_log_take_error());
    }
    if (result != 0)
        words_dispose(&arguments);
    return result;
}

void dpdk_eal_stop(void)
{
    rte_eal_cleanup();
    words_dispose(&arguments);
}

void dpdk_eal_device_name(const char *port, char name[DPDK_NAME_BYTES])
{
    int length = (int)strcspn(port, ",");

    snprintf(name, DPDK_NAME_BYTES, "%s%.*s", system_is_pci(port) && !system_has_pci_domain(port) ? "0000:" : "", length, port);
}

const char *dpdk_eal_take_error(void)
{
    return eal_log_take_error();
}
