/*
 * jacobi: heat in a square whose upper edge is hot; each member has rows of one shared grid, and a grid of its own for
 * every second round.  The rows of its neighbours which it needs are copied once for some rounds, that many of them, and
 * computed along: so little moves often, and nothing for each round.
 *
 *   jacobi DS MEMBER MEMBERS float|double N ROUNDS
 *
 *        own rows of the neighbour above        they write these, 64 pages at most
 *        begin - depth .. begin                 copied from there; a row less of them is right after each round
 *        begin .. end                           own: shared, written by nobody else
 *        end .. end + depth                     copied from below
 */
#include "parallel.h"

/* What is copied comes in one exchange: so long a run goes back and forth as it is. */
enum { RUN_BYTES = 64 * PAGE, DEPTH_MAX = 32 };
/* Grids whose rows are a power of two apart take their places in the cache from each other: the second one begins further off. */
enum { APART = 13 * PAGE };

struct band {
  struct part own, kept; /* rows that it writes; and with those of its neighbours that it copies */
  uint64_t depth;        /* rows that are copied of each; even: then it is the shared grid that is right */
};

static struct band band_of(const struct team *team, uint64_t n, uint64_t row) {
  struct part rows = share_of(team, n - 2);
  uint64_t depth = RUN_BYTES / row, most = (n - 2) / team->members;
  if (most > DEPTH_MAX) most = DEPTH_MAX;
  struct band band = {.own = {rows.begin + 1, rows.end + 1}, .depth = (depth < most ? depth : most) / 2 * 2};
  if (band.depth == 0) die(EXIT_USAGE, "N: two rows or more for each member, of %d bytes at most", RUN_BYTES / 2);
  band.kept.begin = team->member == 0 ? 0 : band.own.begin - band.depth;
  band.kept.end = team->member == team->members - 1 ? n : band.own.end + band.depth;
  return band;
}

static void *allocate(uint64_t bytes) {
  void *memory = aligned_alloc(PAGE, whole_pages(bytes));
  if (memory == NULL) die(EXIT_CALL, "no memory for %" PRIu64 " bytes", bytes);
  return memory;
}

#define JACOBI(type, name)                                                                                             \
  /* Where each row of both grids is that this member has or copies, and where it copies that from. */                 \
  static void lay_out_##name(struct team *team, struct band band, uint64_t n, type **lines[2], const type **sources) { \
    size_t bytes = (band.kept.end - band.kept.begin) * n * sizeof(type);                                               \
    type *mine = (type *)((char *)allocate(bytes + APART) + APART);                                                    \
    uint64_t copied = (band.own.begin - band.kept.begin) + (band.kept.end - band.own.end);                             \
    type *copies = allocate(copied * n * sizeof(type));                                                                \
    uint64_t row = n * sizeof(type);                                                                                   \
    for (int grid = 0; grid < 2; grid++) lines[grid] = allocate(n * sizeof(type *));                                   \
    const type *above = (const type *)map_part(team, band.kept.begin * row, band.own.begin * row, ODONATA_READ);       \
    const type *below = (const type *)map_part(team, band.own.end * row, band.kept.end * row, ODONATA_READ);           \
    type *own = (type *)own_part(team, band.own.begin * row, band.own.end * row, ODONATA_READ_WRITE);                  \
    if (team->member > 0) odonata_touch_for_write(own, (band.own.end - band.own.begin) * row);                         \
    for (uint64_t i = band.kept.begin; i < band.kept.end; i++) {                                                       \
      bool ours = i >= band.own.begin && i < band.own.end, edge = i == 0 || i == n - 1;                                \
      sources[i] = i < band.own.begin ? above + (i - band.kept.begin) * n : ours ? NULL : below + (i - band.own.end) * n;\
      lines[0][i] = ours ? own + (i - band.own.begin) * n : edge ? (type *)sources[i] : copies;                        \
      if (!ours && !edge) copies += n;                                                                                 \
      lines[1][i] = edge ? lines[0][i] : mine + (i - band.kept.begin) * n;                                             \
      if (!edge) { /* Its first and last columns are right for ever. */                                                \
        const type *at = ours ? lines[0][i] : sources[i];                                                              \
        lines[1][i][0] = lines[0][i][0] = at[0];                                                                       \
        lines[1][i][n - 1] = lines[0][i][n - 1] = at[n - 1];                                                           \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
                                                                                                                       \
  static void copy_rows_##name(struct band band, uint64_t n, type **line, const type **sources) {                      \
    for (uint64_t i = band.kept.begin; i < band.kept.end; i++)                                                         \
      if (sources[i] != NULL && line[i] != sources[i]) memcpy(line[i], sources[i], n * sizeof(type));                  \
  }                                                                                                                    \
                                                                                                                       \
  static uint64_t name(struct team *team, uint64_t n, uint64_t rounds) {                                               \
    type *shared = (type *)team->base, **lines[2];                                                                     \
    const type **sources = allocate(n * sizeof(type *));                                                               \
    struct band band = band_of(team, n, n * sizeof(type));                                                             \
    if (team->member == 0)                                                                                             \
      for (uint64_t i = 0; i < n * n; i++) shared[i] = i < n ? 100 : (type)(i % 3);                                    \
    await_start(team);                                                                                                 \
    lay_out_##name(team, band, n, lines, sources);                                                                     \
    for (uint64_t round = 0; round < rounds; round++) {                                                                \
      uint64_t since = round % band.depth, last = rounds - (round - since);                                            \
      uint64_t depth = last < band.depth ? last : band.depth;                                                          \
      if (since == 0) {                                                                                                \
        if (round > 0) meet(team); /* All have written the rows that are copied. */                                    \
        copy_rows_##name(band, n, lines[0], sources);                                                                  \
      }                                                                                                                \
      if (since == 1) meet(team); /* All have copied them: they are written now. */                                    \
      uint64_t more = depth - 1 - since;                                                                               \
      uint64_t begin = team->member == 0 ? 1 : band.own.begin - more;                                                  \
      uint64_t end = team->member == team->members - 1 ? n - 1 : band.own.end + more;                                  \
      type **from = lines[round % 2], **to = lines[1 - round % 2];                                                     \
      for (uint64_t i = begin; i < end; i++) {                                                                         \
        const type *restrict above = from[i - 1], *restrict at = from[i], *restrict below = from[i + 1];               \
        type *restrict into = to[i];                                                                                   \
        for (uint64_t j = 1; j < n - 1; j++) into[j] = (above[j] + below[j] + at[j - 1] + at[j + 1]) / 4;              \
      }                                                                                                                \
    }                                                                                                                  \
    uint64_t checksum = 0;                                                                                             \
    for (uint64_t i = band.own.begin; i < band.own.end; i++)                                                           \
      for (uint64_t j = 0; j < n; j++)                                                                                 \
        checksum += at_place(i * n + j, bits_of_double((double)lines[rounds % 2][i][j]));                              \
    return checksum;                                                                                                   \
  }

JACOBI(float, with_floats)
JACOBI(double, with_doubles)

int main(int argc, char **argv) {
  if (argc != 7) die(EXIT_USAGE, "usage: jacobi DS MEMBER MEMBERS float|double N ROUNDS");
  bool floats = strcmp(argv[4], "float") == 0;
  if (!floats && strcmp(argv[4], "double") != 0) die(EXIT_USAGE, "'%s': float or double", argv[4]);
  uint64_t n = number(argv[5], "N"), rounds = number(argv[6], "ROUNDS");
  struct team team = open_team(argv, n * n * (floats ? sizeof(float) : sizeof(double)));
  finish(&team, floats ? with_floats(&team, n, rounds) : with_doubles(&team, n, rounds));
  return 0;
}
