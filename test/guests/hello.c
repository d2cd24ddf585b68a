/* hello: prints {"hello":NAME,"realtime_ns"} with the time of its first instructions. */
#include "guest.h"

int main(int argc, char **argv) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  printf("{\"hello\":\"%s\",\"realtime_ns\":%lld%09ld}\n", argc > 1 ? argv[1] : "world", (long long)now.tv_sec,
         now.tv_nsec);
  return 0;
}
