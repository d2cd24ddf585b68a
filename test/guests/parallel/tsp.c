/*
 * tsp: the shortest way through all cities and back.  Tasks are the ways through the first three cities; members take the
 * next few off a counter, and share the length of the best way so far.
 *
 *   tsp DS MEMBER MEMBERS CITIES
 */
#include "parallel.h"

/* Each time that tasks are taken a page moves. */
enum { CITIES_MAX = 24, TASKS_AT_ONCE = 4 };

/** In pages of their own: the counter is written for each task, the best way seldom, and read all the time. */
struct shared {
  uint32_t next;
  unsigned char apart[PAGE - 4];
  uint32_t best;
  unsigned char apart_too[PAGE - 4];
  uint32_t distances[CITIES_MAX][CITIES_MAX];
};

static uint32_t cities, distances[CITIES_MAX][CITIES_MAX], cheapest[CITIES_MAX];
static struct shared *shared;

static void shorten(uint32_t length) {
  uint32_t best = __atomic_load_n(&shared->best, __ATOMIC_SEQ_CST);
  while (length < best && !__atomic_compare_exchange_n(&shared->best, &best, length, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
  }
}

/** @param left the least that the cities that are left can add */
static void search(uint32_t city, uint32_t visited, uint32_t length, uint32_t left) {
  if (visited == (1u << cities) - 1) {
    shorten(length + distances[city][0]);
    return;
  }
  for (uint32_t next = 1; next < cities; next++) {
    if (visited & 1u << next) continue;
    uint32_t longer = length + distances[city][next], rest = left - cheapest[next];
    if (longer + rest >= __atomic_load_n(&shared->best, __ATOMIC_RELAXED)) continue;
    search(next, visited | 1u << next, longer, rest);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) die(EXIT_USAGE, "usage: tsp DS MEMBER MEMBERS CITIES");
  cities = (uint32_t)number(argv[4], "CITIES");
  if (cities < 5 || cities > CITIES_MAX) die(EXIT_USAGE, "CITIES: 5 to %d", CITIES_MAX);
  struct team team = open_team(argv, sizeof(struct shared));
  shared = (struct shared *)team.base;
  if (team.member == 0) {
    uint64_t random = 42;
    uint32_t x[CITIES_MAX], y[CITIES_MAX];
    for (uint32_t i = 0; i < cities; i++) {
      x[i] = (uint32_t)(next_random(&random) % 1000);
      y[i] = (uint32_t)(next_random(&random) % 1000);
      for (uint32_t j = 0; j < i; j++) {
        uint32_t across = x[i] > x[j] ? x[i] - x[j] : x[j] - x[i], along = y[i] > y[j] ? y[i] - y[j] : y[j] - y[i];
        shared->distances[i][j] = shared->distances[j][i] = across + along;
      }
    }
    shared->best = UINT32_MAX / 2;
  }
  await_start(&team);
  memcpy(distances, shared->distances, sizeof distances);
  uint32_t all = 0;
  for (uint32_t i = 1; i < cities; i++) {
    cheapest[i] = UINT32_MAX;
    for (uint32_t j = 0; j < cities; j++)
      if (i != j && distances[i][j] < cheapest[i]) cheapest[i] = distances[i][j];
    all += cheapest[i];
  }
  uint32_t tasks = (cities - 1) * (cities - 1);
  for (uint32_t task = 0, taken = 0;; task++) {
    if (task == taken) {
      task = __atomic_fetch_add(&shared->next, TASKS_AT_ONCE, __ATOMIC_SEQ_CST);
      taken = task + TASKS_AT_ONCE;
    }
    if (task >= tasks) break;
    uint32_t first = task / (cities - 1) + 1, second = task % (cities - 1) + 1;
    if (first == second) continue;
    search(second, 1u | 1u << first | 1u << second, distances[0][first] + distances[first][second],
           all - cheapest[first] - cheapest[second]);
  }
  meet(&team);
  finish(&team, team.member == 0 ? shared->best : 0);
  return 0;
}
