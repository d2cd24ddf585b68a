/*
 * Programs that talk by names, on whatever nodes they run.
 *
 *   names echo NAME [COUNT]     listens, and sends back what comes, of COUNT connections at most at one time (100), one thread: poll
 *   names preopened WORD        on the listener that it was started with (descriptor 3): answers each connection with WORD, and keeps it
 *   names first NAME            connects, and prints what comes first
 *   names tell NAME TEXT        connects, sends TEXT, ends its direction, and prints what comes until the end
 *   names load NAME COUNT BYTES COUNT connections at once, BYTES through each and back, all of it looked at; prints how many
 *   names hold NAME             connects, says so, and reads until the other side is gone; prints how that was
 *   names stall NAME            connects and writes what nobody reads, until there is no room; prints whether it may go on
 *   names full NAME             listens with room for one that waits, and takes none
 *   names many NAME COUNT       connections, and prints what came of each
 *   names everyone NAME         as echo, for programs of all people
 *   names idle NAME             listens, and takes one connection, and does nothing with it
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "odonata.h"

#define MOST 200

static void expect(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static int listens(const char *name, uint32_t backlog, int32_t flags) {
  uint32_t fd = 0;
  errno = odonata_listen(name, (uint32_t)strlen(name), backlog, flags, &fd);
  expect(errno == 0, "listen");
  printf("listening\n");
  fflush(stdout);
  return (int)fd;
}

static int connects(const char *name) {
  uint32_t fd = 0;
  errno = odonata_connect_name(name, (uint32_t)strlen(name), 5000, &fd);
  return errno == 0 ? (int)fd : -1;
}

static void send_all(int fd, const char *bytes, size_t count) {
  for (size_t sent = 0; sent < count;) {
    ssize_t more = send(fd, bytes + sent, count - sent, 0);
    expect(more > 0, "send");
    sent += (size_t)more;
  }
}

static void nonblocking(int fd) { expect(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "fcntl"); }

/* What came and has not gone back, of each. */
static struct {
  char bytes[32768];
  size_t from, to;
  int ended;
} kept[MOST];

static void echo(int listener, int most) {
  struct pollfd fds[MOST + 1] = { { .fd = listener, .events = POLLIN } };
  int count = 1;
  for (;;) {
    /* wasi-libc waits for what has events alone. */
    int skip = count <= most ? 0 : 1;
    fds[0].revents = 0;
    for (int i = 1; i < count; i++) fds[i].events = kept[i - 1].to > kept[i - 1].from ? POLLOUT : POLLIN;
    expect(poll(fds + skip, (nfds_t)(count - skip), -1) > 0, "poll");
    for (int i = count - 1; i > 0; i--) {
      if (fds[i].revents == 0) continue;
      int over = 0;
      if (kept[i - 1].to == kept[i - 1].from) {
        ssize_t got = recv(fds[i].fd, kept[i - 1].bytes, sizeof kept[0].bytes, 0);
        over = got == 0 || (got < 0 && errno != EAGAIN);
        kept[i - 1].from = 0;
        kept[i - 1].to = got > 0 ? (size_t)got : 0;
      }
      if (kept[i - 1].to > kept[i - 1].from) {
        ssize_t sent = send(fds[i].fd, kept[i - 1].bytes + kept[i - 1].from, kept[i - 1].to - kept[i - 1].from, 0);
        if (sent > 0) kept[i - 1].from += (size_t)sent;
        else over = errno != EAGAIN;
      }
      if (!over) continue;
      close(fds[i].fd);
      fds[i] = fds[--count];
      kept[i - 1] = kept[count - 1];
    }
    if (fds[0].revents != 0) {
      int connection = accept(listener, NULL, NULL);
      if (connection < 0) continue;
      nonblocking(connection);
      kept[count - 1].from = kept[count - 1].to = 0;
      fds[count++] = (struct pollfd){ .fd = connection, .events = POLLIN };
    }
  }
}

static char byte_of(int connection, size_t at) { return (char)(connection * 31 + (int)(at % 251)); }

/* All connections at once: writes and reads as each is ready. */
static void load(const char *name, int count, size_t bytes) {
  static struct {
    int fd, number;
    size_t sent, got;
  } open[MOST];
  for (int i = 0; i < count; i++) {
    open[i].fd = connects(name);
    open[i].number = i;
    expect(open[i].fd >= 0, "connect");
    nonblocking(open[i].fd);
  }
  for (int left = count; left > 0;) {
    struct pollfd fds[MOST];
    for (int i = 0; i < left; i++)
      fds[i] = (struct pollfd){ .fd = open[i].fd, .events = open[i].sent < bytes ? POLLIN | POLLOUT : POLLIN };
    expect(poll(fds, (nfds_t)left, 20000) > 0, "poll");
    for (int i = left - 1; i >= 0; i--) {
      char piece[8192];
      if (fds[i].revents == 0) continue;
      size_t more = bytes - open[i].sent < sizeof piece ? bytes - open[i].sent : sizeof piece;
      for (size_t j = 0; j < more; j++) piece[j] = byte_of(open[i].number, open[i].sent + j);
      ssize_t went = more > 0 ? send(fds[i].fd, piece, more, 0) : 0;
      expect(went >= 0 || errno == EAGAIN, "send");
      if (went > 0) open[i].sent += (size_t)went;
      ssize_t came = recv(fds[i].fd, piece, sizeof piece, 0);
      expect(came > 0 || (came < 0 && errno == EAGAIN), "recv");
      for (ssize_t j = 0; j < came; j++)
        expect(piece[j] == byte_of(open[i].number, open[i].got + (size_t)j), "the same bytes");
      if (came > 0) open[i].got += (size_t)came;
      if (open[i].got < bytes) continue;
      close(open[i].fd);
      open[i] = open[--left];
    }
  }
  printf("%d of %zu bytes\n", count, bytes);
}

int main(int argc, char **argv) {
  if (argc < 3) return 64;
  const char *mode = argv[1];
  const char *name = argv[2];
  if (strcmp(mode, "echo") == 0) echo(listens(name, 128, 0), argc > 3 ? atoi(argv[3]) : 100);
  if (strcmp(mode, "everyone") == 0) echo(listens(name, 128, ODONATA_LISTEN_EVERYONE), 100);
  if (strcmp(mode, "preopened") == 0) {
    printf("listening LISTEN_FDS=%s\n", getenv("LISTEN_FDS"));
    fflush(stdout);
    static int held[MOST];
    for (int i = 0; i < MOST; i++) {
      held[i] = accept(3, NULL, NULL);
      expect(held[i] > 3, "accept");
      send_all(held[i], name, strlen(name));
    }
  }
  if (strcmp(mode, "full") == 0) {
    listens(name, 1, 0);
    sleep(1000);
  }
  if (strcmp(mode, "idle") == 0) {
    int fd = accept(listens(name, 8, 0), NULL, NULL);
    expect(fd >= 0, "accept");
    printf("has one\n");
    fflush(stdout);
    sleep(1000);
  }
  if (strcmp(mode, "tell") == 0) {
    int fd = connects(name);
    if (fd < 0) {
      printf("no connection: %s\n", strerror(errno));
      return 0;
    }
    send_all(fd, argv[3], strlen(argv[3]));
    expect(shutdown(fd, SHUT_WR) == 0, "shutdown");
    char answer[4096];
    ssize_t got;
    while ((got = read(fd, answer, sizeof answer)) > 0) fwrite(answer, 1, (size_t)got, stdout);
    printf("|%s\n", got == 0 ? "end" : strerror(errno));
    struct pollfd over = { .fd = fd, .events = POLLIN };
    expect(poll(&over, 1, 0) == 1, "poll");
  }
  if (strcmp(mode, "first") == 0) {
    int fd = connects(name);
    expect(fd >= 0, "connect");
    char answer[4096];
    ssize_t got = read(fd, answer, sizeof answer);
    printf("%.*s\n", got > 0 ? (int)got : 0, answer);
  }
  if (strcmp(mode, "load") == 0) load(name, atoi(argv[3]), (size_t)atol(argv[4]));
  if (strcmp(mode, "hold") == 0) {
    int fd = connects(name);
    expect(fd >= 0, "connect");
    struct pollfd waits = { .fd = fd, .events = POLLIN };
    expect(poll(&waits, 1, 20) == 0, "nothing comes within 20 ms");
    printf("holds\n");
    fflush(stdout);
    char byte;
    ssize_t got = read(fd, &byte, 1);
    printf("%s\n", got == 0 ? "end" : got > 0 ? "a byte" : strerror(errno));
  }
  if (strcmp(mode, "stall") == 0) {
    int fd = connects(name);
    expect(fd >= 0, "connect");
    nonblocking(fd);
    static char block[65536];
    size_t total = 0;
    struct pollfd room = { .fd = fd, .events = POLLOUT };
    while (poll(&room, 1, 1000) == 1) {
      ssize_t went = send(fd, block, sizeof block, 0);
      expect(went > 0 || errno == EAGAIN, "send");
      if (went > 0) total += (size_t)went;
    }
    printf("stalled after %zu KiB\n", total / 1024);
    fflush(stdout);
    sleep(1000);
  }
  if (strcmp(mode, "many") == 0) {
    for (int i = 0; i < atoi(argv[3]); i++) printf("%s\n", connects(name) >= 0 ? "connected" : strerror(errno));
  }
  return 0;
}
