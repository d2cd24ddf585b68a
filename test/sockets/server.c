/*
 * A server of a few answers, on the listener that it was started with (descriptor 3).
 *
 *   server COUNT WORD [--wait]    answers COUNT requests with WORD and a number; --wait: it polls first, beside its standard input
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void expect(int holds, const char *what) {
  if (holds) return;
  perror(what);
  exit(1);
}

int main(int argc, char **argv) {
  int count = argc > 2 ? atoi(argv[1]) : 0;
  printf("listening LISTEN_FDS=%s\n", getenv("LISTEN_FDS") ? getenv("LISTEN_FDS") : "none");
  fflush(stdout);
  for (int i = 0; i < count; i++) {
    struct pollfd both[2] = { { .fd = 3, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
    if (argc > 3) {
      while (!(both[0].revents & POLLIN)) expect(poll(both, 2, -1) > 0, "poll");
    }
    int connection = accept(3, NULL, NULL);
    expect(connection > 3, "accept");
    char request[4096];
    ssize_t peeked = recv(connection, request, 4, MSG_PEEK);
    ssize_t got = recv(connection, request, sizeof request, 0);
    expect(peeked > 0 && got >= peeked && memcmp(request, "GET ", 4) == 0, "recv");
    char body[100];
    char answer[300];
    int length = snprintf(body, sizeof body, "%s %d\n", argv[2], i);
    const char *head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ";
    int bytes = snprintf(answer, sizeof answer, "%s%d\r\n\r\n%s", head, length, body);
    expect(send(connection, answer, 10, 0) == 10 && write(connection, answer + 10, (size_t)bytes - 10) == bytes - 10, "send");
    expect(shutdown(connection, SHUT_RDWR) == 0 && close(connection) == 0, "shutdown");
  }
  return 0;
}
