/*
 * quicksort: ranges to sort lie on a stack under a range lock, which brings its pages along; who takes a large one splits
 * it and puts a half back, a small one is sorted at once.
 *
 *   quicksort DS MEMBER MEMBERS COUNT
 */
#include "parallel.h"

enum { SMALL = 1 << 17, STACK_MAX = 4000 };

struct range {
  uint64_t begin, end;
};

struct shared {
  uint64_t sorted;
  uint32_t depth;
  struct range stack[STACK_MAX];
};

static struct shared *shared;
static int32_t *values;

static void lock_stack(struct team *team) {
  if (!team->alone)
    must(odonata_lock(team->dataspace, 0, PAGE - 1, ODONATA_LOCK_MODIFYING, -1), "lock");
}

static void unlock_stack(struct team *team) {
  if (!team->alone) must(odonata_unlock(team->dataspace, 0, PAGE - 1), "unlock");
}

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

static void push(struct range range) {
  if (shared->depth == STACK_MAX) die(EXIT_CHECK, "the stack is full");
  shared->stack[shared->depth++] = range;
}

int main(int argc, char **argv) {
  if (argc != 5) die(EXIT_USAGE, "usage: quicksort DS MEMBER MEMBERS COUNT");
  uint64_t count = number(argv[4], "COUNT"), head = whole_pages(sizeof(struct shared));
  struct team team = open_team(argv, head + count * sizeof(int32_t));
  shared = (struct shared *)team.base;
  values = (int32_t *)(team.base + head);
  if (team.member == 0) {
    uint64_t random = 1234567;
    for (uint64_t i = 0; i < count; i++) values[i] = (int32_t)(next_random(&random) >> 33);
    push((struct range){0, count});
  }
  await_start(&team);
  uint64_t checksum = 0, sorted = 0;
  struct timespec moment = {.tv_nsec = 500000};
  for (;;) {
    lock_stack(&team);
    shared->sorted += sorted;
    sorted = 0;
    bool over = shared->sorted == count, found = shared->depth > 0;
    struct range range = found ? shared->stack[--shared->depth] : (struct range){0, 0};
    unlock_stack(&team);
    if (over) break;
    if (!found) nanosleep(&moment, NULL);
    while (range.end - range.begin > SMALL) {
      uint64_t middle = (uint64_t)split((int64_t)range.begin, (int64_t)range.end - 1);
      lock_stack(&team);
      push((struct range){middle, range.end});
      unlock_stack(&team);
      range.end = middle;
    }
    if (range.end > range.begin) sort((int64_t)range.begin, (int64_t)range.end - 1);
    for (uint64_t i = range.begin; i < range.end; i++) checksum += at_place(i, (uint64_t)values[i]);
    sorted = range.end - range.begin;
  }
  finish(&team, checksum);
  return 0;
}
