#include "demo/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool set_address(int descriptor, struct ifreq *request, unsigned long operation, const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    inet_pton(AF_INET, text, &address.sin_addr);
    memcpy(&request->ifr_addr, &address, sizeof address);
    return ioctl(descriptor, operation, request) == 0;
}

static bool set_queue(int descriptor, struct ifreq *request, int queue)
{
    request->ifr_qlen = queue;
    return queue == 0 || ioctl(descriptor, SIOCSIFTXQLEN, request) == 0;
}

static bool set_flags(int descriptor, struct ifreq *request)
{
    if (ioctl(descriptor, SIOCGIFFLAGS, request) != 0)
        return false;
    request->ifr_flags |= IFF_UP;
    return ioctl(descriptor, SIOCSIFFLAGS, request) == 0;
}

int network_set_up(const char *interface, const char *address, int queue)
{
    struct ifreq request = {0};
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;

    if (descriptor < 0)
        return -errno;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    if (!set_address(descriptor, &request, SIOCSIFADDR, address) ||
        !set_address(descriptor, &request, SIOCSIFNETMASK, "255.255.255.0") || !set_queue(descriptor, &request, queue) ||
        !set_flags(descriptor, &request))
        error = -errno;
    close(descriptor);
    return error;
}

int network_enter(void)
{
    if (unshare(CLONE_NEWNET) != 0)
        return -errno;
    return network_set_up("lo", "127.0.0.1", 0);
}
