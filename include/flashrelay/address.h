/* Network addresses: an IP in one 16-byte form for both families, and IP with port. Any thread may call these functions. */
#ifndef FLASHRELAY_ADDRESS_H
#define FLASHRELAY_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* An IPv6 address, or an IPv4 one mapped into it (::ffff:a.b.c.d), so equal addresses are equal bytes. */
struct ip_address {
    uint8_t bytes[16];
};

struct address {
    struct ip_address ip;
    uint16_t port;  /* host byte order */
    uint32_t scope; /* of a link-local IPv6 address: the index of its interface; else 0 (RFC 4007) */
};

/* Longest text of an address, "[ipv6%interface]:port", with its terminator. */
#define ADDRESS_TEXT_BYTES 64

/* True for an IPv4-mapped address. */
static inline bool ip_address_is_v4(const struct ip_address *ip)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    return memcmp(ip->bytes, prefix, sizeof prefix) == 0;
}

/* True if both are the same address. */
static inline bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* Maps the four bytes of an IPv4 address, as they are in a packet. */
static inline void ip_address_from_v4(struct ip_address *ip, const void *four_bytes)
{
    *ip = (struct ip_address){{[10] = 0xff, [11] = 0xff}};
    memcpy(ip->bytes + 12, four_bytes, 4);
}

/* Parses a bare IPv4 or IPv6 address of `length` characters (no brackets, port or zone). 0, or -EINVAL. */
int ip_address_parse(struct ip_address *ip, const char *text, size_t length);

/* Writes "1.2.3.4" or "2001:db8::1"; `text` has ADDRESS_TEXT_BYTES. Returns `text`. */
const char *ip_address_format(const struct ip_address *ip, char *text);

/* Parses "1.2.3.4:80", "[::1]:80" or "[fe80::1%eth0]:80" (also "%2", the interface's index). 0, or -EINVAL, also for an unknown interface. */
int address_parse(struct address *address, const char *text);

/* Writes "1.2.3.4:80", "[::1]:80" or "[fe80::1%eth0]:80"; `text` has ADDRESS_TEXT_BYTES. Returns `text`. */
const char *address_format(const struct address *address, char *text);

/* Converts from the kernel's form. 0, or -EAFNOSUPPORT for another family than AF_INET and AF_INET6. */
int address_from_sockaddr(struct address *address, const struct sockaddr *sockaddr);

/* Converts to the kernel's form (AF_INET for a mapped address); returns its length in bytes. */
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *sockaddr);

#endif
