/* netdb.h: names of hosts are resolved by who connects for a program. */
#ifndef ODONATA_TOYBOX_NETDB_H
#define ODONATA_TOYBOX_NETDB_H
#include <sys/socket.h>
struct addrinfo {
  int ai_flags, ai_family, ai_socktype, ai_protocol;
  socklen_t ai_addrlen;
  struct sockaddr *ai_addr;
  char *ai_canonname;
  struct addrinfo *ai_next;
};
#endif
