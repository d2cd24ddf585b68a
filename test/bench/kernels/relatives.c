/*
 * relatives: what children cost, and what goes between them and their parent.  The same module plays each part.
 *
 *   relatives spawn COUNT NODE    children one after another: until the first byte of each, and until it was waited for
 *   relatives echo COUNT NODE     a byte to a child and back
 *   relatives signal COUNT NODE WAITS|COMPUTES   from kill to the first byte of the handler, in a child that reads or computes
 *   relatives pipe BYTES PIECE NODE  so many bytes to a child, in writes of PIECE
 *
 * NODE - is the parent's.  Prints {"first_ns":[...],"end_ns":[...]}, {"ns":[...]} or {"ns"}.
 */
#include "guest.h"
#include <errno.h>
#include <unistd.h>

enum { COUNT_MAX = 1000, PIECE_MAX = 1 << 20 };

struct line {
  uint64_t pid;
  int to, from;
};

/** A child whose standard input and output lead here. */
static struct line start(const char *args, size_t args_len, const char *node) {
  struct odonata_ends in, out;
  must(odonata_pipe(&in), "pipe");
  must(odonata_pipe(&out), "pipe");
  uint32_t fds[] = { (uint32_t)in.read, 0, (uint32_t)out.write, 1 };
  struct odonata_child child;
  if (strcmp(node, "-") == 0) node = "";
  must(odonata_spawn(0, args, (uint32_t)args_len, "", 0, (const char *)fds, sizeof fds, node, (uint32_t)strlen(node),
                     ODONATA_SPAWN_SELF, 0, &child),
       "spawn");
  close((int)in.read);
  close((int)out.write);
  return (struct line){ child.pid, (int)in.write, (int)out.read };
}

static void end(struct line *line) {
  struct odonata_child ended;
  close(line->to);
  must(odonata_wait((int64_t)line->pid, 0, &ended), "wait");
  close(line->from);
}

static char next_byte(int fd) {
  char byte;
  ssize_t got;
  do got = read(fd, &byte, 1);
  while (got < 0 && errno == EINTR);
  if (got != 1) die(EXIT_CALL, "a child ended early");
  return byte;
}

static void say(const char *name, const uint64_t *ns, uint64_t count) {
  printf("\"%s\":[", name);
  for (uint64_t i = 0; i < count; i++) printf("%s%" PRIu64, i == 0 ? "" : ",", ns[i]);
  printf("]");
}

enum { KILLED = 9, USR1 = 10 };

static volatile int handled;

static void on_signal(int32_t signal) {
  (void)signal;
  handled++;
  write(1, "x", 1);
}

static int child(const char *part) {
  static char bytes[PIECE_MAX];
  if (strcmp(part, "byte") == 0) return write(1, "x", 1) == 1 ? 0 : EXIT_CALL;
  if (strcmp(part, "back") == 0) {
    while (read(0, bytes, 1) == 1) write(1, bytes, 1);
    return 0;
  }
  if (strcmp(part, "eat") == 0) {
    uint64_t sum = 0;
    write(1, "r", 1);
    for (ssize_t got; (got = read(0, bytes, sizeof bytes)) > 0;) sum += (uint64_t)got;
    write(1, &sum, sizeof sum);
    return 0;
  }
  must(odonata_on_signal(on_signal), "on_signal");
  must(odonata_signal_action(USR1, ODONATA_SIGNAL_HANDLER), "signal_action");
  write(1, "r", 1);
  if (strcmp(part, "computes") == 0)
    for (volatile uint64_t turn = 0; handled < COUNT_MAX; turn++) continue;
  else
    while (read(0, bytes, 1) < 0 && errno == EINTR) continue;
  return 0;
}

int main(int argc, char **argv) {
  static uint64_t first_ns[COUNT_MAX], end_ns[COUNT_MAX];
  if (argc == 2) return child(argv[1]);
  if (argc < 4) die(EXIT_USAGE, "usage: relatives spawn|echo|signal|pipe ...");
  const char *part = argv[1], *node = argv[3];
  uint64_t count = number(argv[2], "COUNT");
  if (strcmp(part, "pipe") == 0) {
    static char bytes[PIECE_MAX];
    uint64_t piece = number(argv[3], "PIECE"), sum = 0;
    if (argc != 5 || piece < 1 || piece > PIECE_MAX) die(EXIT_USAGE, "PIECE: 1 to %d", PIECE_MAX);
    struct line line = start("relatives\0eat", 14, argv[4]);
    next_byte(line.from);
    uint64_t begin_ns = now_ns();
    for (uint64_t left = count; left > 0;) {
      ssize_t sent = write(line.to, bytes, left < piece ? left : piece);
      if (sent <= 0) die(EXIT_CALL, "a write failed");
      left -= (uint64_t)sent;
    }
    close(line.to);
    for (size_t i = 0; i < sizeof sum; i++) ((char *)&sum)[i] = next_byte(line.from);
    uint64_t ns = now_ns() - begin_ns;
    end(&line);
    if (sum != count) die(EXIT_CHECK, "%" PRIu64 " bytes came of %" PRIu64, sum, count);
    printf("{\"ns\":%" PRIu64 "}\n", ns);
    return 0;
  }
  if (count < 1 || count > COUNT_MAX) die(EXIT_USAGE, "COUNT: 1 to %d", COUNT_MAX);
  if (strcmp(part, "spawn") == 0) {
    for (uint64_t i = 0; i < count; i++) {
      uint64_t begin_ns = now_ns();
      struct line line = start("relatives\0byte", 15, node);
      next_byte(line.from);
      first_ns[i] = now_ns() - begin_ns;
      end(&line);
      end_ns[i] = now_ns() - begin_ns;
    }
    printf("{");
    say("first_ns", first_ns, count);
    printf(",");
    say("end_ns", end_ns, count);
    printf("}\n");
    return 0;
  }
  bool signals = strcmp(part, "signal") == 0;
  bool computes = signals && argc == 5 && strcmp(argv[4], "COMPUTES") == 0;
  struct line line = computes  ? start("relatives\0computes", 19, node)
                     : signals ? start("relatives\0waits", 16, node)
                               : start("relatives\0back", 15, node);
  if (signals) next_byte(line.from);
  for (uint64_t i = 0; i < count; i++) {
    uint64_t begin_ns = now_ns();
    if (signals) must(odonata_kill((int64_t)line.pid, USR1), "kill");
    else write(line.to, "x", 1);
    next_byte(line.from);
    first_ns[i] = now_ns() - begin_ns;
  }
  if (computes) must(odonata_kill((int64_t)line.pid, KILLED), "kill");
  end(&line);
  printf("{");
  say("ns", first_ns, count);
  printf("}\n");
  return 0;
}
