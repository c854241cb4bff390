/* The tables are those of the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890 and what updated it). */
#include "meros/connect/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct block4 {
    uint32_t prefix;
    int bits;
};
static const struct block4 not_public4[] = {
    {0x00000000, 8},  /* 0.0.0.0/8: this network; Linux takes 0.0.0.0 for loopback */
    {0x0a000000, 8},  /* 10.0.0.0/8: private */
    {0x64400000, 10}, /* 100.64.0.0/10: shared by customers of a provider */
    {0x7f000000, 8},  /* 127.0.0.0/8: loopback */
    {0xa9fe0000, 16}, /* 169.254.0.0/16: link-local, and clouds' metadata */
    {0xac100000, 12}, /* 172.16.0.0/12: private */
    {0xc0000000, 24}, /* 192.0.0.0/24: protocol assignments */
    {0xc0000200, 24}, /* 192.0.2.0/24: documentation */
    {0xc0586300, 24}, /* 192.88.99.0/24: 6to4 relays, abandoned */
    {0xc0a80000, 16}, /* 192.168.0.0/16: private */
    {0xc6120000, 15}, /* 198.18.0.0/15: benchmarks */
    {0xc6336400, 24}, /* 198.51.100.0/24: documentation */
    {0xcb007100, 24}, /* 203.0.113.0/24: documentation */
    {0xe0000000, 4},  /* 224.0.0.0/4: multicast */
    {0xf0000000, 4},  /* 240.0.0.0/4: reserved, and broadcast */
};

struct block6 {
    unsigned char prefix[16];
    int bits;
};
/* Of 2000::/3, the only part of IPv6 that is given out for global unicast. */
static const struct block6 not_public6[] = {
    {{0x20, 0x01, 0x00}, 23},             /* 2001::/23: protocol assignments, Teredo, ORCHID */
    {{0x20, 0x01, 0x0d, 0xb8}, 32},       /* 2001:db8::/32: documentation */
    {{0x20, 0x02}, 16},                   /* 2002::/16: 6to4, which embeds any IPv4 address */
    {{0x3f, 0xff, 0x00}, 20},             /* 3fff::/20: documentation */
};
static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};

static bool public4(uint32_t address)
{
    for (size_t i = 0; i < sizeof not_public4 / sizeof not_public4[0]; i++) {
        if ((address ^ not_public4[i].prefix) >> (32 - not_public4[i].bits) == 0) return false;
    }
    return true;
}

static uint32_t embedded4(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool begins_with(const unsigned char *address, const unsigned char *prefix, int bits)
{
    int bytes = bits / 8, rest = bits % 8;
    return memcmp(address, prefix, (size_t)bytes) == 0 && (rest == 0 || (address[bytes] ^ prefix[bytes]) >> (8 - rest) == 0);
}

static bool public6(const unsigned char address[16])
{
    if (memcmp(address, mapped, sizeof mapped) == 0 || memcmp(address, nat64, sizeof nat64) == 0)
        return public4(embedded4(address + 12));
    if (address[0] >> 5 != 1) return false; /* outside 2000::/3, loopback and unspecified among them */
    for (size_t i = 0; i < sizeof not_public6 / sizeof not_public6[0]; i++) {
        if (begins_with(address, not_public6[i].prefix, not_public6[i].bits)) return false;
    }
    return true;
}

bool address_public(const struct sockaddr *a, socklen_t n)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (n >= (socklen_t)sizeof v4 && a->sa_family == AF_INET) {
        memcpy(&v4, a, sizeof v4);
        return public4(ntohl(v4.sin_addr.s_addr));
    }
    if (n >= (socklen_t)sizeof v6 && a->sa_family == AF_INET6) {
        memcpy(&v6, a, sizeof v6);
        return public6(v6.sin6_addr.s6_addr);
    }
    return false;
}

static bool ends_in(struct str s, struct str end)
{
    return s.n >= end.n && str_ieq((struct str){s.p + s.n - end.n, end.n}, end);
}

bool address_host_public(struct str host)
{
    char text[INET6_ADDRSTRLEN + 1];
    struct in_addr v4;
    struct in6_addr v6;
    if (host.n > 0 && host.p[host.n - 1] == '.') host.n--; /* the root's dot */
    if (str_ieq(host, STR("localhost")) || ends_in(host, STR(".localhost"))) return false;
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') host.p++, host.n -= 2;
    const char *zone = host.n > 0 ? memchr(host.p, '%', host.n) : NULL;
    if (zone != NULL) host.n = (size_t)(zone - host.p);
    if (!str_copy(text, sizeof text, host)) return true; /* too long for an address */
    if (inet_aton(text, &v4) != 0) return public4(ntohl(v4.s_addr)); /* also 127.1, 0x7f000001 and 2130706433 */
    return inet_pton(AF_INET6, text, &v6) == 1 ? public6(v6.s6_addr) : zone == NULL;
}
