/*
 * tsp: the shortest way through all cities and back.  Tasks are the ways through the first three cities, the most promising
 * first; members take the next ones off a counter, and share the length of the best way so far.
 *
 *   tsp DS MEMBER MEMBERS CITIES
 */
#include "parallel.h"

/* Each time that tasks are taken a page moves.  The first ones take long; of what hardly anything is left to search many are taken. */
enum { CITIES_MAX = 24, TASKS_MAX = CITIES_MAX * CITIES_MAX, SHARES = 4 };

/** In pages of their own: the counter is written for each task, the best way seldom, and read all the time. */
struct shared {
  uint32_t next;
  unsigned char apart[PAGE - 4];
  uint32_t best;
  unsigned char apart_too[PAGE - 4];
  uint32_t distances[CITIES_MAX][CITIES_MAX];
};

/** A way through the first three cities. */
struct task {
  uint32_t second, third, length, left, least; /* `least`: no way that begins so is shorter */
};

static struct task tasks[TASKS_MAX];
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

/** Of the way to the nearest city that is left each time, and back. */
static uint32_t nearest_first(void) {
  uint32_t length = 0, at = 0;
  for (uint32_t visited = 1; visited != (1u << cities) - 1;) {
    uint32_t next = 0;
    for (uint32_t i = 1; i < cities; i++)
      if (!(visited & 1u << i) && (next == 0 || distances[at][i] < distances[at][next])) next = i;
    length += distances[at][next];
    visited |= 1u << next;
    at = next;
  }
  return length + distances[at][0];
}

static int by_least(const void *one, const void *other) {
  const struct task *a = one, *b = other;
  if (a->least != b->least) return a->least < b->least ? -1 : 1;
  return a->second != b->second ? (a->second < b->second ? -1 : 1) : a->third < b->third ? -1 : 1;
}

/** @returns how many there are */
static uint32_t make_tasks(void) {
  uint32_t all = 0, count = 0;
  for (uint32_t i = 1; i < cities; i++) {
    cheapest[i] = UINT32_MAX;
    for (uint32_t j = 0; j < cities; j++)
      if (i != j && distances[i][j] < cheapest[i]) cheapest[i] = distances[i][j];
    all += cheapest[i];
  }
  for (uint32_t second = 1; second < cities; second++)
    for (uint32_t third = 1; third < cities; third++) {
      uint32_t length = distances[0][second] + distances[second][third];
      uint32_t left = all - cheapest[second] - cheapest[third];
      if (second != third) tasks[count++] = (struct task){second, third, length, left, length + left};
    }
  qsort(tasks, count, sizeof tasks[0], by_least);
  return count;
}

/** Takes the next ones of so many. @returns where they end: at the first one, where none is left */
static uint32_t take(const struct team *team, uint32_t count, uint32_t *first) {
  uint32_t next = 0, end; /* Not read first: that would bring the page twice. */
  do {
    end = next + 1 + next / (SHARES * team->members);
    if (end > count) end = count;
  } while (!__atomic_compare_exchange_n(&shared->next, &next, end, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  *first = next;
  return end;
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
        shared->distances[i][j] = shared->distances[j][i] = distances[i][j] = distances[j][i] = across + along;
      }
    }
    shared->best = nearest_first();
  }
  await_start(&team);
  memcpy(distances, shared->distances, sizeof distances);
  uint32_t count = make_tasks();
  for (uint32_t first = 0, end = 0; (end = take(&team, count, &first)) > first;)
    for (const struct task *task = &tasks[first]; task < &tasks[end]; task++)
      search(task->third, 1u | 1u << task->second | 1u << task->third, task->length, task->left);
  meet(&team);
  finish(&team, team.member == 0 ? shared->best : 0);
  return 0;
}
