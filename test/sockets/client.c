/*
 * A client of web servers.
 *
 *   client COUNT ADDRESS [--hold]   COUNT requests, one connection each; prints each answer's body, or why there is no connection.
 *                                   --hold: after the last it keeps its connection, and waits on it
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "odonata.h"

static void expect(int holds, const char *what) {
  if (holds) return;
  perror(what);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc < 3) return 64;
  for (int i = 0; i < atoi(argv[1]); i++) {
    uint32_t connection = 0;
    int error = odonata_connect(argv[2], (uint32_t)strlen(argv[2]), &connection);
    if (error != 0) {
      printf("no connection: %s\n", strerror(error));
      continue;
    }
    int fd = (int)connection;
    const char *request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    size_t bytes = strlen(request);
    expect(write(fd, request, 10) == 10 && send(fd, request + 10, bytes - 10, 0) == (ssize_t)bytes - 10, "send");
    struct pollfd answer = { .fd = fd, .events = POLLIN };
    expect(poll(&answer, 1, 10000) == 1, "poll");
    char page[4096];
    size_t got = 0;
    for (ssize_t more = 1; more > 0 && got < sizeof page - 1; got += (size_t)more)
      expect((more = read(fd, page + got, sizeof page - 1 - got)) >= 0, "read");
    page[got] = 0;
    const char *body = strstr(page, "\r\n\r\n");
    expect(body != NULL, "a body");
    printf("%s", body + 4);
    expect(close(fd) == 0, "close");
  }
  if (argc > 3) {
    uint32_t held = 0;
    expect(odonata_connect(argv[2], (uint32_t)strlen(argv[2]), &held) == 0, "connect");
    printf("holds\n");
    fflush(stdout);
    char byte;
    expect(read((int)held, &byte, 1) >= 0, "read");
  }
  return 0;
}
