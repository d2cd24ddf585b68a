// A bad line between two network namespaces: a TUN device in each, and every packet from one to the other comes late, or not at all.
//   line PID ADDRESS PID ADDRESS DELAY_MS LOST_IN_10000
// Prints "up" when it is. SIGUSR1 cuts it, SIGUSR2 heals it; it ends with its standard input.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MTU = 1500, UNDER_WAY = 8192 };

struct packet {
  int64_t due_ns;
  int to;
  ssize_t length;
  char bytes[MTU];
};

static struct packet packets[UNDER_WAY];
static unsigned first, count;
static volatile sig_atomic_t is_cut;

static void hear(int signal) { is_cut = signal == SIGUSR1; }

static void expect(int is_well, const char *what) {
  if (is_well) return;
  perror(what);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void raise_device(int socket, const char *name) {
  struct ifreq request = {0};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  expect(ioctl(socket, SIOCSIFFLAGS, &request) == 0, name);
}

static void give(int socket, const char *name, unsigned long call, const char *address) {
  struct ifreq request = {0};
  struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  in->sin_family = AF_INET;
  expect(inet_pton(AF_INET, address, &in->sin_addr) == 1, address);
  expect(ioctl(socket, call, &request) == 0, address);
}

/** The end of the line in the namespace of a process. */
static int end_in(const char *pid, const char *address, const char *peer) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
  int namespace = open(path, O_RDONLY | O_CLOEXEC);
  expect(namespace >= 0 && setns(namespace, CLONE_NEWNET) == 0, path);
  close(namespace);
  int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  expect(tun >= 0 && ioctl(tun, TUNSETIFF, &request) == 0, "/dev/net/tun");
  int socket_ = socket(AF_INET, SOCK_DGRAM, 0);
  raise_device(socket_, "lo");
  give(socket_, request.ifr_name, SIOCSIFADDR, address);
  give(socket_, request.ifr_name, SIOCSIFDSTADDR, peer);
  raise_device(socket_, request.ifr_name);
  close(socket_);
  return tun;
}

int main(int argc, char **argv) {
  expect(argc == 7, "line PID ADDRESS PID ADDRESS DELAY_MS LOST_IN_10000");
  int ends[] = {end_in(argv[1], argv[2], argv[4]), end_in(argv[3], argv[4], argv[2])};
  int64_t delay_ns = atoll(argv[5]) * 1000000;
  int lost = atoi(argv[6]);
  signal(SIGUSR1, hear);
  signal(SIGUSR2, hear);
  srand(1);
  puts("up");
  fflush(stdout);
  for (;;) {
    struct pollfd polled[] = {{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}, {0, POLLIN, 0}};
    int64_t left_ns = count == 0 ? 1000000000 : packets[first].due_ns - now_ns();
    struct timespec wait = {0, left_ns < 0 ? 0 : left_ns > 999999999 ? 999999999 : left_ns};
    ppoll(polled, 3, &wait, NULL);
    if (polled[2].revents != 0) return 0;
    for (int from = 0; from < 2; from++)
      while (count < UNDER_WAY) {
        struct packet *packet = &packets[(first + count) % UNDER_WAY];
        packet->length = read(ends[from], packet->bytes, MTU);
        if (packet->length < 0) break;
        if (is_cut || rand() % 10000 < lost) continue;
        packet->to = ends[1 - from];
        packet->due_ns = now_ns() + delay_ns;
        count++;
      }
    for (; count > 0 && packets[first].due_ns <= now_ns(); first = (first + 1) % UNDER_WAY, count--)
      if (!is_cut) write(packets[first].to, packets[first].bytes, packets[first].length);
  }
}
