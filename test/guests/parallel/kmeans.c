/*
 * kmeans: points of 8 floats around 16 centres.  Points are summed up in blocks, those of a member side by side in pages of
 * its own, and all members add the blocks up in the same order: so the result is the same to the last bit, however many
 * they are.
 *
 *   kmeans DS MEMBER MEMBERS POINTS ROUNDS
 */
#include "parallel.h"

enum { DIMENSIONS = 8, CENTRES = 16, BLOCKS = 48 };

struct sums {
  double at[CENTRES][DIMENSIONS];
  double points[CENTRES];
};

static int nearest(const float *point, float centres[CENTRES][DIMENSIONS]) {
  int best = 0;
  float least = 3.4e38f;
  for (int c = 0; c < CENTRES; c++) {
    float distance = 0;
    for (int d = 0; d < DIMENSIONS; d++) {
      float apart = point[d] - centres[c][d];
      distance += apart * apart;
    }
    if (distance < least) {
      least = distance;
      best = c;
    }
  }
  return best;
}

/** Where the sums of each block are, in bytes. @returns bytes of all */
static uint64_t lay_out(uint32_t members, uint64_t places[BLOCKS]) {
  uint64_t at = 0;
  for (uint32_t member = 0; member < members; member++) {
    struct team its = {.member = member, .members = members};
    struct part blocks = share_of(&its, BLOCKS);
    for (uint64_t block = blocks.begin; block < blocks.end; block++, at += sizeof(struct sums)) places[block] = at;
    at = whole_pages(at);
  }
  return at;
}

int main(int argc, char **argv) {
  if (argc != 6) die(EXIT_USAGE, "usage: kmeans DS MEMBER MEMBERS POINTS ROUNDS");
  uint64_t count = number(argv[4], "POINTS"), rounds = number(argv[5], "ROUNDS");
  uint64_t bytes = whole_pages(count * DIMENSIONS * sizeof(float)), places[BLOCKS];
  uint64_t sums_bytes = lay_out((uint32_t)number(argv[3], "MEMBERS"), places);
  struct team team = open_team(argv, bytes + 2 * sums_bytes);
  float *points = (float *)team.base;
  if (team.member == 0) {
    uint64_t random = 88172645463325252u;
    for (uint64_t i = 0; i < count * DIMENSIONS; i++)
      points[i] = (float)(next_random(&random) >> 40) / 16777216 + (float)(i / DIMENSIONS % CENTRES);
  }
  await_start(&team);
  float centres[CENTRES][DIMENSIONS];
  for (int c = 0; c < CENTRES; c++)
    for (int d = 0; d < DIMENSIONS; d++) centres[c][d] = (float)((c * 5 + d * 3) % CENTRES) + 0.25f;
  struct part blocks = share_of(&team, BLOCKS);
  uint64_t first = count * blocks.begin / BLOCKS * DIMENSIONS, last = count * blocks.end / BLOCKS * DIMENSIONS;
  /* Its points, as if they were in place. */
  points = (float *)own_part(&team, first * sizeof(float), last * sizeof(float), ODONATA_READ) - first;
  uint64_t checksum = 0;
  for (uint64_t round = 0; round < rounds; round++) {
    /* In turn: who is a round ahead writes where nobody reads. */
    unsigned char *all = team.base + bytes + round % 2 * sums_bytes;
    for (uint64_t block = blocks.begin; block < blocks.end; block++) {
      struct sums sums = {0};
      for (uint64_t i = count * block / BLOCKS; i < count * (block + 1) / BLOCKS; i++) {
        const float *point = points + i * DIMENSIONS;
        int c = nearest(point, centres);
        for (int d = 0; d < DIMENSIONS; d++) sums.at[c][d] += point[d];
        sums.points[c]++;
      }
      memcpy(all + places[block], &sums, sizeof sums);
    }
    meet(&team);
    struct sums total = {0};
    for (int block = 0; block < BLOCKS; block++) {
      const struct sums *sums = (const struct sums *)(all + places[block]);
      for (int c = 0; c < CENTRES; c++) {
        total.points[c] += sums->points[c];
        for (int d = 0; d < DIMENSIONS; d++) total.at[c][d] += sums->at[c][d];
      }
    }
    for (int c = 0; c < CENTRES; c++)
      for (int d = 0; d < DIMENSIONS && total.points[c] > 0; d++)
        centres[c][d] = (float)(total.at[c][d] / total.points[c]);
  }
  for (int c = 0; c < CENTRES && team.member == 0; c++)
    for (int d = 0; d < DIMENSIONS; d++)
      checksum += at_place((uint64_t)(c * DIMENSIONS + d), bits_of_double((double)centres[c][d]));
  finish(&team, checksum);
  return 0;
}
