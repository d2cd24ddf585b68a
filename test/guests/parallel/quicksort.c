/*
 * quicksort: who splits a range goes on with a half, and keeps the other one on a stack of its own.  The oldest of these,
 * which is the largest, each member offers to the others in a page of its own; who has nothing left takes what is offered,
 * and brings all of it over for writing.  So what was split on a node is sorted there, unless somebody has nothing to do.
 *
 *   quicksort DS MEMBER MEMBERS COUNT
 */
#include "parallel.h"

enum { SMALL = 1 << 17, STACK_MAX = 4000, MEMBERS_MAX = 16 };

struct range {
  uint64_t begin, end;
};

enum { NOTHING = 0, OFFERED = 1, BEING_TAKEN = 2 };

/** In a page of its own: its member looks at it often, and others when they have nothing to do. */
struct offer {
  uint32_t state;
  struct range range;
  unsigned char apart[PAGE - 24];
};

struct shared {
  struct offer offers[MEMBERS_MAX];
  uint64_t sorted;
  /* Who waits for an offer, and how many were made: nobody looks again and again. */
  uint32_t hungry, made;
};

static struct team team;
static struct shared *shared;
static int32_t *values;
static struct range stack[STACK_MAX];
static uint32_t bottom, top;

static int64_t split(int64_t low, int64_t high) {
  int32_t a = values[low], b = values[(low + high) / 2], c = values[high];
  int32_t pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
  while (low <= high) {
    while (values[low] < pivot) low++;
    while (values[high] > pivot) high--;
    if (low > high) break;
    int32_t value = values[low];
    values[low++] = values[high];
    values[high--] = value;
  }
  return low;
}

static void sort(int64_t low, int64_t high) {
  while (high - low > 24) {
    int64_t middle = split(low, high);
    if (middle - low < high - middle) {
      sort(low, middle - 1);
      low = middle;
    } else {
      sort(middle, high);
      high = middle - 1;
    }
  }
  for (int64_t i = low + 1; i <= high; i++) {
    int32_t value = values[i];
    int64_t at = i;
    for (; at > low && values[at - 1] > value; at--) values[at] = values[at - 1];
    values[at] = value;
  }
}

static void tell_the_hungry(void) {
  uint32_t woken;
  __atomic_fetch_add(&shared->made, 1, __ATOMIC_SEQ_CST);
  must(odonata_wake(&shared->made, UINT32_MAX, &woken), "wake");
}

/** The oldest range of the stack, where nothing is offered. A look costs nothing while nobody took what was. */
static void offer_oldest(void) {
  struct offer *mine = &shared->offers[team.member];
  if (team.alone || bottom == top || __atomic_load_n(&mine->state, __ATOMIC_SEQ_CST) != NOTHING) return;
  mine->range = stack[bottom++];
  __atomic_store_n(&mine->state, OFFERED, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&shared->hungry, __ATOMIC_SEQ_CST) > 0) tell_the_hungry();
}

static void push(struct range range) {
  if (bottom == top) bottom = top = 0;
  if (top == STACK_MAX) die(EXIT_CHECK, "the stack is full");
  stack[top++] = range;
  offer_oldest();
}

static bool take_offer(uint32_t member, struct range *range) {
  struct offer *offer = &shared->offers[member];
  uint32_t offered = OFFERED;
  if (__atomic_load_n(&offer->state, __ATOMIC_SEQ_CST) != OFFERED) return false;
  if (!__atomic_compare_exchange_n(&offer->state, &offered, BEING_TAKEN, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return false;
  *range = offer->range;
  __atomic_store_n(&offer->state, NOTHING, __ATOMIC_SEQ_CST);
  return true;
}

/** Its own, or of another one, whose pages come along. */
static bool take_any(struct range *range) {
  if (take_offer(team.member, range)) return true;
  for (uint32_t i = 1; i < team.members; i++) {
    if (!take_offer((team.member + i) % team.members, range)) continue;
    odonata_touch_for_write(values + range->begin, (range->end - range->begin) * sizeof(int32_t));
    return true;
  }
  return false;
}

/** @returns false: all is sorted */
static bool find_range(struct range *range, uint64_t count, uint64_t *sorted) {
  if (bottom < top) {
    *range = stack[--top];
    return true;
  }
  if (!team.alone && take_any(range)) return true;
  bool over = __atomic_add_fetch(&shared->sorted, *sorted, __ATOMIC_SEQ_CST) == count;
  *sorted = 0;
  if (team.alone) return false;
  if (over) {
    tell_the_hungry();
    return false;
  }
  __atomic_fetch_add(&shared->hungry, 1, __ATOMIC_SEQ_CST);
  for (;;) {
    uint32_t made = __atomic_load_n(&shared->made, __ATOMIC_SEQ_CST);
    if (take_any(range)) break;
    if (__atomic_load_n(&shared->sorted, __ATOMIC_SEQ_CST) == count) return false;
    int32_t result = odonata_wait32(&shared->made, made, 1000000000);
    if (result != ODONATA_EAGAIN && result != ODONATA_ETIMEDOUT) must(result, "wait32");
  }
  __atomic_fetch_sub(&shared->hungry, 1, __ATOMIC_SEQ_CST);
  return true;
}

int main(int argc, char **argv) {
  if (argc != 5) die(EXIT_USAGE, "usage: quicksort DS MEMBER MEMBERS COUNT");
  uint64_t count = number(argv[4], "COUNT"), head = whole_pages(sizeof(struct shared));
  team = open_team(argv, head + count * sizeof(int32_t));
  if (team.members > MEMBERS_MAX) die(EXIT_USAGE, "MEMBERS: at most %d", MEMBERS_MAX);
  shared = (struct shared *)team.base;
  values = (int32_t *)(team.base + head);
  if (team.member == 0) {
    uint64_t random = 1234567;
    for (uint64_t i = 0; i < count; i++) values[i] = (int32_t)(next_random(&random) >> 33);
    stack[top++] = (struct range){0, count}; /* Not offered: others get halves. */
  }
  await_start(&team);
  uint64_t checksum = 0, sorted = 0;
  struct range range;
  while (find_range(&range, count, &sorted)) {
    while (range.end - range.begin > SMALL) {
      uint64_t middle = (uint64_t)split((int64_t)range.begin, (int64_t)range.end - 1);
      push((struct range){middle, range.end});
      range.end = middle;
    }
    if (range.end > range.begin) sort((int64_t)range.begin, (int64_t)range.end - 1);
    for (uint64_t i = range.begin; i < range.end; i++) checksum += at_place(i, (uint64_t)values[i]);
    sorted += range.end - range.begin;
    offer_oldest();
  }
  finish(&team, checksum);
  return 0;
}
