/*
 * matrix: C = A * B of doubles; each member has rows of C, which it adds up in private memory and writes once: what is added to in
 * place is read first, and then taken once more for writing.
 *
 *   matrix DS MEMBER MEMBERS N
 */
#include "parallel.h"

int main(int argc, char **argv) {
  if (argc != 5) die(EXIT_USAGE, "usage: matrix DS MEMBER MEMBERS N");
  uint64_t n = number(argv[4], "N"), bytes = whole_pages(n * n * sizeof(double));
  struct team team = open_team(argv, 3 * bytes);
  double *a = (double *)team.base, *b = (double *)(team.base + bytes), *c = (double *)(team.base + 2 * bytes);
  if (team.member == 0)
    for (uint64_t i = 0; i < n * n; i++) {
      a[i] = (double)(i * 7 % 1000) / 1000;
      b[i] = (double)(i * 13 % 1000) / 1000;
    }
  await_start(&team);
  struct part rows = share_of(&team, n);
  uint64_t begin = rows.begin * n * sizeof(double), end = rows.end * n * sizeof(double);
  /* Its rows, as if they were in place. */
  a = (double *)own_part(&team, begin, end, ODONATA_READ) - rows.begin * n;
  c = (double *)map_part(&team, 2 * bytes + begin, 2 * bytes + end, ODONATA_READ_WRITE) - rows.begin * n;
  b = (double *)own_part(&team, bytes, 2 * bytes, ODONATA_READ);
  double *sums = calloc(4 * n, sizeof *sums);
  if (sums == NULL) die(EXIT_CALL, "no memory for four rows");
  uint64_t checksum = 0;
  for (uint64_t i = rows.begin; i < rows.end; i += 4) {
    uint64_t end = i + 4 < rows.end ? i + 4 : rows.end;
    /* Four rows at a time: each row of B is read once for all of them. */
    for (uint64_t k = 0; k < n; k++)
      for (uint64_t row = i; row < end; row++) {
        double factor = a[row * n + k];
        double *restrict to = sums + (row - i) * n;
        const double *restrict from = b + k * n;
        for (uint64_t j = 0; j < n; j++) to[j] += factor * from[j];
      }
    memcpy(c + i * n, sums, (end - i) * n * sizeof *sums);
    memset(sums, 0, 4 * n * sizeof *sums);
    for (uint64_t at = i * n; at < end * n; at++) checksum += at_place(at, bits_of_double(c[at]));
  }
  finish(&team, checksum);
  return 0;
}
