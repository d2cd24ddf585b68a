/* A service that can be watched: appends its own random number, the time and VERSION to a file, fifty times a second.
   beat FILE                 goes on until it is ended
   beat FILE MS CODE         exits after so long
   beat FILE count NAME      adds 1 to a durable dataspace before each line, and writes what it is then */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "odonata.h"

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int32_t open_durable(const char *name, struct odonata_dataspace *ds) {
  return odonata_ds_open(name, strlen(name), 4096, ODONATA_OPEN_CREATE | ODONATA_OPEN_DURABLE, ds);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) {
    perror(argv[1]);
    return 3;
  }
  uint32_t id = 0;
  getentropy(&id, sizeof id);
  int64_t begin = now_ms();
  volatile uint32_t *count = NULL;
  struct odonata_dataspace ds;
  if (argc > 3 && strcmp(argv[2], "count") == 0) {
    void *base;
    if (open_durable(argv[3], &ds) != 0) return 4;
    if (odonata_ds_map_whole(&ds, ODONATA_READ_WRITE, &base) != 0) return 5;
    count = base;
  }
  const char *version = getenv("VERSION");
  printf("begins %s\n", version ? version : "-");
  fflush(stdout);
  for (;;) {
    uint32_t counted = 0;
    if (count != NULL) {
      counted = ++*count;
      if (odonata_sync(ds.id, 0, 4096) != 0) return 6;
    }
    char line[128];
    int length = snprintf(line, sizeof line, "%08x %lld %s %u\n", id, (long long)now_ms(), version ? version : "-", counted);
    if (write(fd, line, length) != length) return 7;
    if (argc > 3 && count == NULL && now_ms() - begin >= atoi(argv[2])) return atoi(argv[3]);
    usleep(20000);
  }
}
