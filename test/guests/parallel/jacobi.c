/*
 * jacobi: heat in a square whose upper edge is hot; each member has rows, and needs one row of each neighbour a round.
 *
 *   jacobi DS MEMBER MEMBERS float|double N ROUNDS
 */
#include "parallel.h"

#define JACOBI(type, name)                                                                                             \
  static uint64_t name(struct team *team, uint64_t n, uint64_t rounds) {                                               \
    uint64_t bytes = whole_pages(n * n * sizeof(type));                                                                \
    type *grids[2] = {(type *)team->base, (type *)(team->base + bytes)};                                               \
    if (team->member == 0)                                                                                             \
      for (uint64_t i = 0; i < n * n; i++) grids[0][i] = grids[1][i] = i < n ? 100 : (type)(i % 3);                    \
    await_start(team);                                                                                                 \
    struct part rows = share_of(team, n - 2);                                                                          \
    for (uint64_t round = 0; round < rounds; round++) {                                                                \
      const type *restrict from = grids[round % 2];                                                                    \
      type *restrict to = grids[1 - round % 2];                                                                        \
      for (uint64_t i = rows.begin + 1; i <= rows.end; i++)                                                            \
        for (uint64_t j = 1; j < n - 1; j++)                                                                           \
          to[i * n + j] = (from[(i - 1) * n + j] + from[(i + 1) * n + j] + from[i * n + j - 1] + from[i * n + j + 1]) / 4; \
      meet(team);                                                                                                      \
    }                                                                                                                  \
    uint64_t checksum = 0;                                                                                             \
    for (uint64_t at = (rows.begin + 1) * n; at < (rows.end + 1) * n; at++)                                            \
      checksum += at_place(at, bits_of_double((double)grids[rounds % 2][at]));                                         \
    return checksum;                                                                                                   \
  }

JACOBI(float, with_floats)
JACOBI(double, with_doubles)

int main(int argc, char **argv) {
  if (argc != 7) die(EXIT_USAGE, "usage: jacobi DS MEMBER MEMBERS float|double N ROUNDS");
  bool floats = strcmp(argv[4], "float") == 0;
  if (!floats && strcmp(argv[4], "double") != 0) die(EXIT_USAGE, "'%s': float or double", argv[4]);
  uint64_t n = number(argv[5], "N"), rounds = number(argv[6], "ROUNDS");
  struct team team = open_team(argv, 2 * whole_pages(n * n * (floats ? sizeof(float) : sizeof(double))));
  finish(&team, floats ? with_floats(&team, n, rounds) : with_doubles(&team, n, rounds));
  return 0;
}
