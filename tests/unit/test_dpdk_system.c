/* What is said of a system that lacks something for DPDK: a machine is made up in a folder that takes the place of /. */
#include "engine/dpdk/system.h"
#include "engine/dpdk/words.h"
#include "support/must.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CARD "0000:3b:00.0"

/* --- the machine --- */

static char root[64];

static int begin(void **state)
{
    (void)state;
    strcpy(root, "/tmp/flashrelay-system-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static int end(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* The path of `name` below the root, whose folders are made. The text is static. */
static const char *path_of(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    must(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void make_link(const char *name, const char *target)
{
    must(symlink(target, path_of(name)) == 0);
}

/* Checks what is said of a port; NULL: it can be used. */
static void expect(const char *port, const char *text)
{
    char error[256] = "";
    int result = system_check_port(port, root, error, sizeof error);

    assert_string_equal(error, text ? text : "");
    assert_int_equal(result < 0, text != NULL);
}

static void bind_card(const char *driver)
{
    char target[64];

    snprintf(target, sizeof target, "../../../bus/pci/drivers/%s", driver);
    make_link("/sys/bus/pci/devices/" CARD "/driver", target);
}

/* --- ports --- */

static void a_port_is_a_pci_address_or_a_device_that_dpdk_makes(void **state)
{
    (void)state;
    assert_true(system_is_pci("3b:00.0"));
    assert_true(system_is_pci("0000:3b:00.0,llq_policy=1"));
    assert_false(system_is_pci("3b:00"));
    assert_false(system_is_pci("3b:00.00"));
    assert_false(system_is_pci("net_tap0"));
    expect("eth0", "eth0 is no port: expected a PCI address as 0000:3b:00.0, or a device of DPDK as net_tap0,iface=flash0");
    expect("net_null0", NULL);
}

static void a_card_that_is_not_there_is_named(void **state)
{
    (void)state;
    expect("3b:00.0", "there is no PCI device 0000:3b:00.0: dpdk-devbind.py --status-dev net lists them");
}

static void a_card_of_the_kernel_is_not_taken_from_it(void **state)
{
    (void)state;
    bind_card("ixgbe");
    expect(CARD, "0000:3b:00.0 is still bound to the kernel's driver ixgbe: dpdk-devbind.py -b vfio-pci 0000:3b:00.0");
}

static void a_card_without_driver_has_to_be_bound(void **state)
{
    (void)state;
    write_file("/sys/bus/pci/devices/" CARD "/vendor", "0x8086\n");
    expect(CARD, "0000:3b:00.0 is bound to no driver: modprobe vfio-pci && dpdk-devbind.py -b vfio-pci 0000:3b:00.0");
}

static void mellanox_cards_keep_their_kernel_driver(void **state)
{
    (void)state;
    bind_card("mlx5_core");
    expect(CARD, NULL);
}

static void without_vfio_a_bound_card_cannot_be_used(void **state)
{
    (void)state;
    bind_card("vfio-pci");
    expect(CARD, "there is no /dev/vfio/vfio: modprobe vfio-pci, and in a container pass /dev/vfio into it");
}

static void without_an_iommu_its_unsafe_mode_has_to_be_enabled(void **state)
{
    (void)state;
    bind_card("vfio-pci");
    write_file("/dev/vfio/vfio", "");
    expect(CARD, "0000:3b:00.0 has no IOMMU group: enable the IOMMU (intel_iommu=on), or without one: echo 1 > "
                 "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode, and bind the port again");
}

static void a_card_with_its_group_can_be_used(void **state)
{
    (void)state;
    bind_card("vfio-pci");
    write_file("/dev/vfio/vfio", "");
    make_link("/sys/bus/pci/devices/" CARD "/iommu_group", "../../../../kernel/iommu_groups/7");
    expect(CARD, "there is no /dev/vfio/7: modprobe vfio-pci, and in a container pass /dev/vfio into it");
    write_file("/dev/vfio/7", "");
    expect(CARD, NULL);
}

static void a_group_without_iommu_has_another_file(void **state)
{
    (void)state;
    bind_card("vfio-pci");
    write_file("/dev/vfio/vfio", "");
    make_link("/sys/bus/pci/devices/" CARD "/iommu_group", "../../../../kernel/iommu_groups/0");
    write_file("/dev/vfio/noiommu-0", "");
    expect(CARD, NULL);
}

static void a_tap_needs_a_capability_and_a_device_file(void **state)
{
    (void)state;
    write_file("/proc/self/status", "Name:\tflashrelay\nCapEff:\t0000000000000400\n");
    expect("net_tap0,iface=flash0",
           "net_tap0 needs CAP_NET_ADMIN: run as root, or setcap cap_net_admin,cap_net_raw+ep on the program");
    write_file("/proc/self/status", "Name:\tflashrelay\nCapEff:\t0000000000001000\n");
    expect("net_tap0,iface=flash0",
           "/dev/net/tun: No such file or directory: modprobe tun, and in a container pass the file into it");
    write_file("/dev/net/tun", "");
    expect("net_tap0,iface=flash0", NULL);
    expect("net_af_xdp0,iface=eth1", NULL);
}

/* --- huge pages --- */

static void free_huge_pages_of_all_sizes_are_added_up(void **state)
{
    struct system_huge_pages pages;

    (void)state;
    write_file("/proc/meminfo", "MemTotal: 100 kB\nHugepagesize:       2048 kB\n");
    write_file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3\n");
    write_file("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "5\n");
    write_file("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1\n");
    write_file("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "1\n");
    system_read_huge_pages(&pages, root);
    assert_int_equal(pages.free_bytes, (3ull << 21) + (1ull << 30));
    assert_int_equal(system_huge_pages_for(&pages, pages.free_bytes + 1), 6);
}

static void a_kernel_without_huge_pages_has_none(void **state)
{
    struct system_huge_pages pages;

    (void)state;
    system_read_huge_pages(&pages, root);
    assert_int_equal(pages.free_bytes, 0);
    assert_int_equal(system_huge_pages_for(&pages, 5 << 20), 3);
}

/* --- words --- */

static void the_text_of_eal_is_split_as_a_shell_does_it(void **state)
{
    static const char *const expected[] = {"--no-huge", "-m", "512", "a b\\c", "d\"e f", "g h", "", "i'j"};
    struct words words = {0};

    (void)state;
    assert_int_equal(words_split(&words, " --no-huge\t-m 512 'a b\\c' \"d\\\"e f\" g\\ h '' i\"'\"j \n"), 0);
    assert_int_equal(words.count, sizeof expected / sizeof expected[0]);
    for (int i = 0; i < words.count; i++)
        assert_string_equal(words.words[i], expected[i]);
    assert_null(words.words[words.count]);
    words_dispose(&words);
}

static void a_quote_that_does_not_end_is_refused(void **state)
{
    struct words words = {0};

    (void)state;
    assert_int_equal(words_split(&words, "-m '512"), -EINVAL);
    assert_int_equal(words_split(&words, "\"\\\""), -EINVAL);
    words_dispose(&words);
}

static void too_many_words_are_refused(void **state)
{
    struct words words = {0};

    (void)state;
    for (int i = 0; i < WORDS_MAX; i++)
        assert_int_equal(words_split(&words, "-v"), 0);
    assert_int_equal(words_split(&words, "-v"), -E2BIG);
    words_dispose(&words);
}

static void words_are_found_with_and_without_their_values(void **state)
{
    struct words words = {0};

    (void)state;
    assert_int_equal(words_split(&words, "--lcores=0@1 -m 512"), 0);
    assert_true(words_have(&words, "--lcores"));
    assert_true(words_have(&words, "-m"));
    assert_false(words_have(&words, "--lcore"));
    assert_int_equal(words_split(&words, "-l0"), 0);
    assert_true(words_have(&words, "-l"));
    words_dispose(&words);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_port_is_a_pci_address_or_a_device_that_dpdk_makes),
        TEST(a_card_that_is_not_there_is_named),
        TEST(a_card_of_the_kernel_is_not_taken_from_it),
        TEST(a_card_without_driver_has_to_be_bound),
        TEST(mellanox_cards_keep_their_kernel_driver),
        TEST(without_vfio_a_bound_card_cannot_be_used),
        TEST(without_an_iommu_its_unsafe_mode_has_to_be_enabled),
        TEST(a_card_with_its_group_can_be_used),
        TEST(a_group_without_iommu_has_another_file),
        TEST(a_tap_needs_a_capability_and_a_device_file),
        TEST(free_huge_pages_of_all_sizes_are_added_up),
        TEST(a_kernel_without_huge_pages_has_none),
        TEST(the_text_of_eal_is_split_as_a_shell_does_it),
        TEST(a_quote_that_does_not_end_is_refused),
        TEST(too_many_words_are_refused),
        TEST(words_are_found_with_and_without_their_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
