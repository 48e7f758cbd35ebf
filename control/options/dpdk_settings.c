#include "options/dpdk_settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

static bool is_v4_any(const struct ip_address *ip)
{
    static const uint8_t any[4];

    return ip_address_is_v4(ip) && memcmp(ip->bytes + 12, any, sizeof any) == 0;
}

static bool is_v6_any(const struct ip_address *ip)
{
    static const struct ip_address any;

    return ip_address_equal(ip, &any);
}

/* True if the port has an address on which `listen` lets subscribers connect. */
static bool has_address(const struct network_list *own, const struct ip_address *listen)
{
    for (unsigned i = 0; i < own->count; i++)
        if (ip_address_equal(&own->networks[i].ip, listen))
            return true;
    return is_v4_any(listen) || is_v6_any(listen);
}

static bool has_v6(const struct network_list *own)
{
    for (unsigned i = 0; i < own->count; i++)
        if (!ip_address_is_v4(&own->networks[i].ip))
            return true;
    return false;
}

/* True if `ip` lies in the network. */
static bool is_in(const struct engine_dpdk_address *network, const struct ip_address *ip)
{
    unsigned bits = network->prefix_bits + (ip_address_is_v4(&network->ip) ? 96u : 0);
    unsigned whole = bits / 8, mask = 0xff00u >> bits % 8 & 0xff;

    return memcmp(network->ip.bytes, ip->bytes, whole) == 0 &&
           (mask == 0 || ((network->ip.bytes[whole] ^ ip->bytes[whole]) & mask) == 0);
}

/* True if the port reaches `gateway` without another one: in one of its networks, or on its link (RFC 4291, 2.5.6). */
static bool is_reachable(const struct network_list *own, const struct ip_address *gateway)
{
    for (unsigned i = 0; i < own->count; i++)
        if (is_in(&own->networks[i], gateway))
            return true;
    return has_v6(own) && gateway->bytes[0] == 0xfe && (gateway->bytes[1] & 0xc0) == 0x80;
}

static int refuse(char *error, size_t capacity, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int refuse(char *error, size_t capacity, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, capacity, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

static int check_addresses(const struct options *options, char *error, size_t capacity)
{
    char text[ADDRESS_TEXT_BYTES];

    if (!has_address(&options->dpdk_addresses, &options->listen_addr.ip))
        return refuse(error, capacity, "--listen-addr %s: expected 0.0.0.0, [::] or one of --dpdk-address",
                      address_format(&options->listen_addr, text));
    if (options->listen_addr.port == 0)
        return refuse(error, capacity, "--listen-addr %s: expected a port other than 0 with --engine dpdk",
                      address_format(&options->listen_addr, text));
    for (unsigned i = 0; i < options->dpdk_gateways.count; i++)
        if (!is_reachable(&options->dpdk_addresses, &options->dpdk_gateways.ips[i]))
            return refuse(error, capacity, "--dpdk-gateway %s: expected an address in one of the networks of --dpdk-address",
                          ip_address_format(&options->dpdk_gateways.ips[i], text));
    if (options->dpdk_mtu < 1280 && has_v6(&options->dpdk_addresses))
        return refuse(error, capacity, "--dpdk-mtu %" PRIu64 ": expected at least 1280 with an IPv6 address", options->dpdk_mtu);
    return 0;
}

int dpdk_settings_check(const struct options *options, char *error, size_t capacity)
{
    if (!options->dpdk_port)
        return refuse(error, capacity,
                      "--dpdk-port: expected a port for the engine dpdk, as in 0000:3b:00.0 or net_tap0,iface=flash0");
    if (options->dpdk_addresses.count == 0)
        return refuse(error, capacity, "--dpdk-address: expected an address for the port, as in 192.0.2.10/24");
    return check_addresses(options, error, capacity);
}

struct engine_dpdk_options dpdk_settings_of(const struct options *options)
{
    struct engine_dpdk_options dpdk = {
        .port = options->dpdk_port,
        .eal = options->eal,
        .address_count = options->dpdk_addresses.count,
        .gateway_count = options->dpdk_gateways.count,
        .mtu = (uint16_t)options->dpdk_mtu,
        .vlan = (uint16_t)options->dpdk_vlan,
        .offload = options->dpdk_offload,
    };

    memcpy(dpdk.addresses, options->dpdk_addresses.networks, sizeof dpdk.addresses);
    memcpy(dpdk.gateways, options->dpdk_gateways.ips, sizeof dpdk.gateways);
    return dpdk;
}
