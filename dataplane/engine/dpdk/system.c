#include "engine/dpdk/system.h"

#include "engine/dpdk/explain.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 512
#define NAME_BYTES 64

/* The forms of PCI addresses: x stands for a hexadecimal digit. */
#define PCI_SHORT "xx:xx.x"
#define PCI_LONG  "xxxx:xx:xx.x"

/* --- names of ports --- */

static bool has_form(const char *port, const char *form)
{
    for (; *form; form++, port++)
        if (*form == 'x' ? !isxdigit((unsigned char)*port) : *port != *form)
            return false;
    return *port == '\0' || *port == ',';
}

bool system_has_pci_domain(const char *port)
{
    return has_form(port, PCI_LONG);
}

bool system_is_pci(const char *port)
{
    return has_form(port, PCI_SHORT) || has_form(port, PCI_LONG);
}

static bool begins_with_any(const char *port, const char *const *names)
{
    for (; *names; names++)
        if (strncmp(port, *names, strlen(*names)) == 0)
            return true;
    return false;
}

bool system_needs_no_card(const char *port)
{
    static const char *const names[] = {"net_tap",  "net_af_",   "net_null",        "net_ring",
                                        "net_pcap", "net_memif", "net_virtio_user", NULL};

    return begins_with_any(port, names);
}

/* --- huge pages --- */

/* The number in a file, 0 if it can't be read. */
static uint64_t read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    uint64_t number = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%" SCNu64, &number) != 1)
        number = 0;
    fclose(file);
    return number;
}

/* The number behind `name` at the beginning of a line of the file; `otherwise` if there is none. */
static uint64_t read_field(const char *root, const char *file_name, const char *name, int base, uint64_t otherwise)
{
    char path[PATH_BYTES], line[128];
    size_t length = strlen(name);
    FILE *file;

    snprintf(path, sizeof path, "%s%s", root, file_name);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, length) == 0) {
            otherwise = strtoull(line + length, NULL, base);
            break;
        }
    if (file)
        fclose(file);
    return otherwise;
}

void system_read_huge_pages(struct system_huge_pages *pages, const char *root)
{
    char folder[PATH_BYTES], path[PATH_BYTES + NAME_MAX + 32];
    const struct dirent *entry;
    uint64_t kib;
    DIR *sizes;

    *pages = (struct system_huge_pages){.page_bytes = read_field(root, "/proc/meminfo", "Hugepagesize:", 10, 2048) << 10};
    snprintf(folder, sizeof folder, "%s/sys/kernel/mm/hugepages", root);
    sizes = opendir(folder);
    while (sizes && (entry = readdir(sizes))) {
        if (sscanf(entry->d_name, "hugepages-%" SCNu64 "kB", &kib) != 1)
            continue;
        snprintf(path, sizeof path, "%s/%s/free_hugepages", folder, entry->d_name);
        pages->free_bytes += read_number(path) * (kib << 10);
        snprintf(path, sizeof path, "%s/%s/nr_hugepages", folder, entry->d_name);
        if (kib << 10 == pages->page_bytes)
            pages->page_count = read_number(path);
    }
    if (sizes)
        closedir(sizes);
}

uint64_t system_huge_pages_for(const struct system_huge_pages *pages, uint64_t needed)
{
    return pages->page_count + (needed - pages->free_bytes + pages->page_bytes - 1) / pages->page_bytes;
}

/* --- the port --- */

/* The last part of where a link points to. False if there is no such link. */
static bool read_link(const char *path, char name[NAME_BYTES])
{
    char target[PATH_BYTES];
    ssize_t length = readlink(path, target, sizeof target - 1);
    const char *slash;

    if (length < 0)
        return false;
    target[length] = '\0';
    slash = strrchr(target, '/');
    snprintf(name, NAME_BYTES, "%.63s", slash ? slash + 1 : target);
    return true;
}

/* Drivers of the kernel beside which DPDK's work, on the same card. */
static bool is_shared(const char *driver)
{
    return strcmp(driver, "mlx5_core") == 0 || strcmp(driver, "mlx4_core") == 0 || strcmp(driver, "mana") == 0;
}

static bool is_for_user_space(const char *driver)
{
    return strcmp(driver, "uio_pci_generic") == 0 || strcmp(driver, "igb_uio") == 0;
}

static int check_file(const char *path, const char *what, char *error, size_t capacity)
{
    if (access(path, R_OK | W_OK) == 0)
        return 0;
    if (errno == ENOENT)
        return explain(error, capacity, -ENOENT, "there is no %s: modprobe vfio-pci, and in a container pass /dev/vfio into it",
                       what);
    return explain(error, capacity, -EACCES, "%s may not be opened: run as root, or chown the file to this user", what);
}

/* The group's file is called noiommu-N where there is no IOMMU. */
static int check_vfio(const char *address, const char *root, char *error, size_t capacity)
{
    char path[PATH_BYTES], group[NAME_BYTES], file[PATH_BYTES];
    int result;

    snprintf(path, sizeof path, "%s/dev/vfio/vfio", root);
    result = check_file(path, "/dev/vfio/vfio", error, capacity);
    if (result != 0)
        return result;
    snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s/iommu_group", root, address);
    if (!read_link(path, group))
        return explain(error, capacity, -ENODEV,
                       "%s has no IOMMU group: enable the IOMMU (intel_iommu=on), or without one: echo 1 > "
                       "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode, and bind the port again",
                       address);
    snprintf(file, sizeof file, "%s/dev/vfio/noiommu-%s", root, group);
    if (access(file, F_OK) == 0)
        return check_file(file, file + strlen(root), error, capacity);
    snprintf(file, sizeof file, "%s/dev/vfio/%s", root, group);
    return check_file(file, file + strlen(root), error, capacity);
}

static int check_pci(const char *port, const char *root, char *error, size_t capacity)
{
    char address[NAME_BYTES], path[PATH_BYTES], driver[NAME_BYTES];

    snprintf(address, sizeof address, "%s%.*s", system_has_pci_domain(port) ? "" : "0000:", (int)strcspn(port, ","), port);
    snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s", root, address);
    if (access(path, F_OK) != 0)
        return explain(error, capacity, -ENODEV, "there is no PCI device %s: dpdk-devbind.py --status-dev net lists them",
                       address);
    snprintf(path, sizeof path, "%s/sys/bus/pci/devices/%s/driver", root, address);
    if (!read_link(path, driver))
        return explain(error, capacity, -ENODEV, "%s is bound to no driver: modprobe vfio-pci && dpdk-devbind.py -b vfio-pci %s",
                       address, address);
    if (strcmp(driver, "vfio-pci") == 0)
        return check_vfio(address, root, error, capacity);
    if (is_shared(driver) || is_for_user_space(driver))
        return 0;
    return explain(error, capacity, -EBUSY, "%s is still bound to the kernel's driver %s: dpdk-devbind.py -b vfio-pci %s",
                   address, driver, address);
}

static bool has_capability(const char *root, int capability)
{
    return read_field(root, "/proc/self/status", "CapEff:", 16, 0) >> capability & 1;
}

int system_check_port(const char *port, const char *root, char *error, size_t error_capacity)
{
    static const char *const network_devices[] = {"net_tap", "net_tun", "net_af_", NULL};
    char path[PATH_BYTES];

    if (system_is_pci(port))
        return check_pci(port, root, error, error_capacity);
    if (strncmp(port, "net_", 4) != 0)
        return explain(error, error_capacity, -EINVAL,
                       "%s is no port: expected a PCI address as 0000:3b:00.0, or a device of DPDK as net_tap0,iface=flash0",
                       port);
    if (!begins_with_any(port, network_devices))
        return 0;
    if (!has_capability(root, CAP_NET_ADMIN))
        return explain(error, error_capacity, -EPERM,
                       "%.*s needs CAP_NET_ADMIN: run as root, or setcap cap_net_admin,cap_net_raw+ep on "
                       "the program",
                       (int)strcspn(port, ","), port);
    snprintf(path, sizeof path, "%s/dev/net/tun", root);
    if (strncmp(port, "net_tap", 7) == 0 && access(path, R_OK | W_OK) != 0)
        return explain(error, error_capacity, -errno, "/dev/net/tun: %s: modprobe tun, and in a container pass the file into it",
                       strerror(errno));
    return 0;
}
