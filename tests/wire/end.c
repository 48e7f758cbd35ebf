#include "end.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXIT_USAGE 2

static int open_tap(const char *interface)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (descriptor < 0)
        err(EXIT_USAGE, "/dev/net/tun");
    if (interface[0] == '\0' || strlen(interface) >= sizeof request.ifr_name)
        errx(EXIT_USAGE, "tap:%s: expected the name of an interface behind tap:", interface);
    memcpy(request.ifr_name, interface, strlen(interface));
    if (ioctl(descriptor, TUNSETIFF, &request) != 0)
        err(EXIT_USAGE, "tap:%s", interface);
    return descriptor;
}

static int open_interface(const char *interface)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(interface)};
    struct packet_mreq everything = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    int descriptor = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (descriptor < 0)
        err(EXIT_USAGE, "packet socket");
    /* What the wire itself sends through the interface is not received from it. */
    if (address.sll_ifindex == 0 || setsockopt(descriptor, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) != 0 ||
        setsockopt(descriptor, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &everything, sizeof everything) != 0 ||
        bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0)
        err(EXIT_USAGE, "%s", interface);
    return descriptor;
}

void end_open(struct end *end, const char *name)
{
    *end = (struct end){.name = name};
    end->descriptor = strncmp(name, "tap:", 4) == 0 ? open_tap(name + 4) : open_interface(name);
}

void end_close(struct end *end)
{
    close(end->descriptor);
}

size_t end_read(struct end *end, uint8_t *bytes, size_t capacity)
{
    /* One byte more tells that a frame is too long. */
    ssize_t length = read(end->descriptor, bytes, capacity + 1);

    end->is_gone = length < 0 && errno == EBADFD;
    return length > 0 ? (size_t)length : 0;
}

void end_write(struct end *end, const uint8_t *bytes, size_t length)
{
    if (write(end->descriptor, bytes, length) != (ssize_t)length)
        end->refused++;
}
