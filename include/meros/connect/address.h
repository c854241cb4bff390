/* Which addresses a URL that somebody gave us may lead to. Pure functions.
 *
 * A service that sends requests to addresses of its users' choice can be made to reach what only it can reach: its own
 * database, the neighbours in its network, the metadata of the cloud that it runs in. So unless configuration allows
 * private ones, only addresses of the public internet are connected to, and that is judged by the address of the socket
 * that is about to be opened: a name that first resolves to a public address and then to a private one gains nothing. */
#ifndef MEROS_CONNECT_ADDRESS_H
#define MEROS_CONNECT_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>
#include "meros/base/str.h"

/* True only for a global unicast IPv4 or IPv6 address: not loopback, private, shared (carrier-grade NAT), link-local,
 * unique local, multicast, broadcast, unspecified, reserved or for documentation, nor an IPv6 address that stands for such
 * an IPv4 address (mapped, compatible, NAT64), nor one of a tunnel that embeds one (6to4, Teredo). Any other family is
 * refused. */
bool address_public(const struct sockaddr *a, socklen_t n);

/* What the host of a URL says before anybody is asked: false for a literal address that is not public (IPv6 with or
 * without its brackets), and for names that mean this machine by definition (localhost, *.localhost). */
bool address_host_public(struct str host);

#endif
