/*
 * hog shared DS MIB [HOLD_MS]   writes all of a dataspace, 32 MiB of it at a time over the same addresses
 * hog private MIB [HOLD_MS]     touches so much private memory
 * hog many N PREFIX             opens N dataspaces of one page
 *
 * Output: {"mode","done"}: MiB, or dataspaces. shared and private print it before they hold what they have.
 */
#include "guest.h"
#include <unistd.h>

#define WINDOW_MIB 32u

static void hold(int argc, char **argv, int at) {
  if (argc > at) usleep((useconds_t)number(argv[at], "HOLD_MS") * 1000);
}

static void say(const char *mode, uint64_t done) {
  printf("{\"mode\":\"%s\",\"done\":%" PRIu64 "}\n", mode, done);
  fflush(stdout);
}

static void touch(volatile char *from, uint64_t bytes) {
  for (uint64_t at = 0; at < bytes; at += 4096) from[at] = 1;
}

static void shared(const char *name, uint64_t mib) {
  struct odonata_dataspace ds;
  must(odonata_ds_open(name, strlen(name), mib << 20, ODONATA_OPEN_CREATE, &ds), "ds_open");
  char *window = aligned_alloc(65536, (size_t)WINDOW_MIB << 20);
  if (window == NULL) die(EXIT_CALL, "no addresses for a window");
  for (uint64_t at = 0; at < mib; at += WINDOW_MIB) {
    uint64_t bytes = (mib - at < WINDOW_MIB ? mib - at : WINDOW_MIB) << 20;
    must(odonata_ds_map(ds.id, window, (uint32_t)bytes, at << 20, ODONATA_READ_WRITE), "ds_map");
    touch(window, bytes);
  }
}

int main(int argc, char **argv) {
  if (argc < 3) die(EXIT_USAGE, "hog shared DS MIB [HOLD_MS] | private MIB [HOLD_MS] | many N PREFIX");
  if (strcmp(argv[1], "shared") == 0 && argc > 3) {
    uint64_t mib = number(argv[3], "MIB");
    shared(argv[2], mib);
    say("shared", mib);
    hold(argc, argv, 4);
  } else if (strcmp(argv[1], "private") == 0) {
    uint64_t mib = number(argv[2], "MIB");
    char *memory = malloc((size_t)mib << 20);
    if (memory == NULL) die(EXIT_CALL, "no addresses for %" PRIu64 " MiB", mib);
    touch(memory, mib << 20);
    say("private", mib);
    hold(argc, argv, 3);
  } else if (strcmp(argv[1], "many") == 0 && argc > 3) {
    uint64_t count = number(argv[2], "N");
    for (uint64_t i = 0; i < count; i++) {
      char name[200];
      struct odonata_dataspace ds;
      snprintf(name, sizeof name, "%s%" PRIu64, argv[3], i);
      must(odonata_ds_open(name, strlen(name), 4096, ODONATA_OPEN_CREATE, &ds), name);
    }
    say("many", count);
  } else {
    die(EXIT_USAGE, "hog %s: what is that?", argv[1]);
  }
  return 0;
}
