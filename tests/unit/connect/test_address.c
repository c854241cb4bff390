#include "meros/connect/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/un.h>

static bool judged(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) return address_public((const struct sockaddr *)&v4, sizeof v4);
    cr_assert_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1, "%s is an address", text);
    return address_public((const struct sockaddr *)&v6, sizeof v6);
}

static void refused(const char *const *texts)
{
    for (; *texts != NULL; texts++) cr_expect_not(judged(*texts), "%s must be refused", *texts);
}

static void allowed(const char *const *texts)
{
    for (; *texts != NULL; texts++) cr_expect(judged(*texts), "%s must be allowed", *texts);
}

#define TEXTS(...) (const char *const[]){__VA_ARGS__, NULL}

Test(address, refuses_what_is_not_the_public_internet_in_ipv4)
{
    refused(TEXTS("127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255",
                  "192.168.0.1", "192.168.255.255", "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.127.255.255", "192.0.0.1",
                  "192.0.0.255", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
                  "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"));
}

Test(address, allows_the_neighbours_of_every_block_in_ipv4)
{
    allowed(TEXTS("1.0.0.0", "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
                  "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0",
                  "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
                  "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255"));
}

Test(address, refuses_what_is_not_the_public_internet_in_ipv6)
{
    refused(TEXTS("::", "::1", "fc00::1", "fd12:3456:789a::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "100::1",
                  "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "2001:1ff::1", "2001:db8::1",
                  "2002:7f00:1::1", "2002:808:808::1", "3fff::1", "3fff:fff::1", "64:ff9b:1::7f00:1", "4000::1", "5f00::1"));
}

Test(address, judges_an_ipv6_address_that_stands_for_an_ipv4_one_by_that)
{
    refused(TEXTS("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "::127.0.0.1", "::8.8.8.8",
                  "64:ff9b::127.0.0.1", "64:ff9b::192.168.1.1", "::ffff:0:8.8.8.8"));
    allowed(TEXTS("::ffff:8.8.8.8", "64:ff9b::8.8.8.8"));
}

Test(address, allows_global_unicast_in_ipv6)
{
    allowed(TEXTS("2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001:81b::200e", "2001:200::1", "2001:db7::1",
                  "2001:db9::1", "2003::1", "3ffe::1", "3fff:1000::1"));
}

Test(address, refuses_families_that_are_not_ip_and_addresses_that_are_cut_short)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/postgresql/.s.PGSQL.5432"};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    inet_pton(AF_INET, "8.8.8.8", &v4.sin_addr);
    cr_assert_not(address_public((const struct sockaddr *)&local, sizeof local));
    cr_assert(address_public((const struct sockaddr *)&v4, sizeof v4));
    cr_assert_not(address_public((const struct sockaddr *)&v4, sizeof v4 - 9));
}

Test(address, hosts_are_refused_by_what_they_say_in_any_spelling)
{
    const char *const bad[] = {"localhost", "LOCALHOST", "localhost.", "db.localhost", "127.0.0.1", "127.1", "0x7f000001",
                               "2130706433", "0177.0.0.1", "0", "[::1]", "::1", "[::ffff:127.0.0.1]", "[fe80::1%25eth0]",
                               "fe80::1%eth0", "10.0.0.1.", "169.254.169.254", NULL};
    const char *const good[] = {"example.com", "hooks.example.com.", "localhost.example.com", "notlocalhost", "8.8.8.8",
                                "[2606:4700:4700::1111]", "1.1.1.1", "10.example.com", "xn--bcher-kva.example", NULL};
    for (size_t i = 0; bad[i] != NULL; i++) cr_expect_not(address_host_public(str_of(bad[i])), "%s must be refused", bad[i]);
    for (size_t i = 0; good[i] != NULL; i++) cr_expect(address_host_public(str_of(good[i])), "%s must be allowed", good[i]);
}
