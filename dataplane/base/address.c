#include "flashrelay/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the IPv4 address lies in one that is mapped into IPv6. */
#define V4_OFFSET 12

int ip_address_parse(struct ip_address *ip, const char *text, size_t length)
{
    char terminated[INET6_ADDRSTRLEN];
    struct in_addr v4;

    if (length >= sizeof terminated || memchr(text, '\0', length))
        return -EINVAL;
    memcpy(terminated, text, length);
    terminated[length] = '\0';
    if (inet_pton(AF_INET, terminated, &v4) == 1) {
        ip_address_from_v4(ip, &v4);
        return 0;
    }
    return inet_pton(AF_INET6, terminated, ip->bytes) == 1 ? 0 : -EINVAL;
}

const char *ip_address_format(const struct ip_address *ip, char *text)
{
    if (ip_address_is_v4(ip))
        inet_ntop(AF_INET, ip->bytes + V4_OFFSET, text, ADDRESS_TEXT_BYTES);
    else
        inet_ntop(AF_INET6, ip->bytes, text, ADDRESS_TEXT_BYTES);
    return text;
}

static int parse_port(uint16_t *port, const char *text)
{
    uint32_t value = 0;
    size_t digits = 0;

    for (; text[digits] >= '0' && text[digits] <= '9' && digits < 5; digits++)
        value = value * 10 + (uint32_t)(text[digits] - '0');
    if (digits == 0 || text[digits] != '\0' || value > UINT16_MAX)
        return -EINVAL;
    *port = (uint16_t)value;
    return 0;
}

/* Parses the name or index of an interface. */
static int parse_scope(uint32_t *scope, const char *text, size_t length)
{
    char name[IF_NAMESIZE];
    char *end;

    if (length == 0 || length >= sizeof name)
        return -EINVAL;
    memcpy(name, text, length);
    name[length] = '\0';
    *scope = if_nametoindex(name);
    if (*scope != 0)
        return 0;
    if (name[0] < '1' || name[0] > '9')
        return -EINVAL;
    unsigned long index = strtoul(name, &end, 10);
    *scope = (uint32_t)index;
    return *end == '\0' && index <= INT32_MAX ? 0 : -EINVAL;
}

/* Parses an IP address with its scope, if it has one. */
static int parse_scoped_ip(struct address *address, const char *text, size_t length)
{
    const char *percent = memchr(text, '%', length);
    size_t ip_length = percent ? (size_t)(percent - text) : length;

    address->scope = 0;
    if (ip_address_parse(&address->ip, text, ip_length) != 0)
        return -EINVAL;
    if (!percent)
        return 0;
    return ip_address_is_v4(&address->ip) ? -EINVAL : parse_scope(&address->scope, percent + 1, length - ip_length - 1);
}

int address_parse(struct address *address, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';

    if (!colon || parse_port(&address->port, colon + 1) != 0)
        return -EINVAL;
    if (bracketed) {
        text++;
        length -= 2;
    }
    /* Brackets are required for IPv6 and wrong for IPv4. */
    if ((memchr(text, ':', length) != NULL) != bracketed)
        return -EINVAL;
    return parse_scoped_ip(address, text, length);
}

const char *address_format(const struct address *address, char *text)
{
    char ip[ADDRESS_TEXT_BYTES], scope[1 + IF_NAMESIZE] = "";

    ip_address_format(&address->ip, ip);
    if (address->scope != 0 && !if_indextoname(address->scope, scope + 1))
        snprintf(scope + 1, sizeof scope - 1, "%u", address->scope);
    if (address->scope != 0)
        scope[0] = '%';
    snprintf(text, ADDRESS_TEXT_BYTES, ip_address_is_v4(&address->ip) ? "%.45s%s:%u" : "[%.39s%s]:%u", ip, scope, address->port);
    return text;
}

int address_from_sockaddr(struct address *address, const struct sockaddr *sockaddr)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    switch (sockaddr->sa_family) {
    case AF_INET:
        memcpy(&v4, sockaddr, sizeof v4);
        ip_address_from_v4(&address->ip, &v4.sin_addr);
        address->port = ntohs(v4.sin_port);
        address->scope = 0;
        return 0;
    case AF_INET6:
        memcpy(&v6, sockaddr, sizeof v6);
        memcpy(address->ip.bytes, &v6.sin6_addr, sizeof address->ip.bytes);
        address->port = ntohs(v6.sin6_port);
        address->scope = v6.sin6_scope_id;
        return 0;
    default:
        return -EAFNOSUPPORT;
    }
}

socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *sockaddr)
{
    memset(sockaddr, 0, sizeof *sockaddr);
    if (ip_address_is_v4(&address->ip)) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)sockaddr;

        v4->sin_family = AF_INET;
        v4->sin_port = htons(address->port);
        memcpy(&v4->sin_addr, address->ip.bytes + V4_OFFSET, 4);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)sockaddr;

    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address->port);
    v6->sin6_scope_id = address->scope;
    memcpy(&v6->sin6_addr, address->ip.bytes, sizeof address->ip.bytes);
    return sizeof *v6;
}
