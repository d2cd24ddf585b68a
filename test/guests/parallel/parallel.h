/*
 * What the parallel programs share: members of a team, on one node or several, that work on one dataspace.
 *
 *   PROGRAM DS MEMBER MEMBERS [SIZE…]   DS `-`: alone, in private memory, without a call of module odonata
 *
 * Member 0 makes the input; so it starts on its node.  Then each prints {"ready":true} and waits for a line of standard
 * input, does its part, and prints {"checksum","wall_ns","cpu_ns"}: checksums of all members add up to that of one who is
 * alone.  `cpu_ns` is 0 in a team: there the processor time is the cluster's.
 */
#ifndef PARALLEL_H
#define PARALLEL_H

#include <wasi/api.h>

#include "guest.h"

enum { PAGE = 4096 };

struct team {
  bool alone;
  uint32_t member, members;
  unsigned char *base;
  uint64_t dataspace, generation, begin_ns, begin_cpu_ns;
};

/** A range of work, [begin, end). */
struct part {
  uint64_t begin, end;
};

static inline uint64_t whole_pages(uint64_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

/** Takes the first three arguments. */
static struct team open_team(char **argv, uint64_t bytes) {
  struct team team = {.alone = strcmp(argv[1], "-") == 0};
  team.member = (uint32_t)number(argv[2], "MEMBER");
  team.members = (uint32_t)number(argv[3], "MEMBERS");
  if (team.members < 1 || team.member >= team.members) die(EXIT_USAGE, "MEMBER: below MEMBERS");
  if (team.alone) {
    team.base = aligned_alloc(PAGE, whole_pages(bytes));
    if (team.base == NULL) die(EXIT_CALL, "no memory for %" PRIu64 " bytes", bytes);
    memset(team.base, 0, whole_pages(bytes));
    return team;
  }
  struct mapping shared = map_dataspace(argv[1], whole_pages(bytes), ODONATA_READ_WRITE);
  team.base = shared.base;
  team.dataspace = shared.ds.id;
  return team;
}

/**
 * Bytes [begin, end) of the dataspace in a mapping of their own: what is beyond its end is not asked for ahead, and stays with
 * whoever works on it.
 */
static inline unsigned char *map_part(const struct team *team, uint64_t begin, uint64_t end, int32_t prot) {
  uint64_t from = begin / PAGE * PAGE, bytes = whole_pages(end - from);
  if (team->alone || begin >= end) return team->base + begin;
  unsigned char *part = aligned_alloc(PAGE, bytes);
  if (part == NULL) die(EXIT_CALL, "no memory for %" PRIu64 " bytes", bytes);
  must(odonata_ds_map(team->dataspace, part, (uint32_t)bytes, from, prot), "mapping a part");
  return part + (begin - from);
}

/** The same of what is its own. Member 0, which made the input, has all of that mapped already. */
static inline unsigned char *own_part(const struct team *team, uint64_t begin, uint64_t end, int32_t prot) {
  return team->member == 0 ? team->base + begin : map_part(team, begin, end, prot);
}

static void meet(struct team *team) {
  if (team->alone) return;
  must(odonata_barrier(team->dataspace, 0, team->members, team->generation++, -1), "barrier");
}

static uint64_t cpu_ns(const struct team *team) {
  __wasi_timestamp_t ns = 0;
  if (team->alone && __wasi_clock_time_get(2, 1, &ns) != 0) die(EXIT_CALL, "no clock of the processor");
  return ns;
}

/** The input is made: all are told when to begin. */
static void await_start(struct team *team) {
  meet(team);
  printf("{\"ready\":true}\n");
  fflush(stdout);
  if (!team->alone) getchar();
  team->begin_ns = now_ns();
  team->begin_cpu_ns = cpu_ns(team);
}

/** All have done their part. */
static void finish(struct team *team, uint64_t checksum) {
  meet(team);
  uint64_t end_ns = now_ns(), end_cpu_ns = cpu_ns(team);
  printf("{\"checksum\":\"%016" PRIx64 "\",\"wall_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 "}\n", checksum,
         end_ns - team->begin_ns, end_cpu_ns - team->begin_cpu_ns);
  fflush(stdout);
  /* Whoever measures looks at its threads first. */
  if (!team->alone) getchar();
}

/** A member's share of `count` things. */
static inline struct part share_of(const struct team *team, uint64_t count) {
  return (struct part){count * team->member / team->members, count * (team->member + 1) / team->members};
}

/** What stands at a place: such sums do not depend on who adds them up. */
static inline uint64_t at_place(uint64_t place, uint64_t bits) {
  uint64_t mixed = (place + 1) * 0x9e3779b97f4a7c15ULL ^ bits * 0xc2b2ae3d27d4eb4fULL;
  return (mixed ^ mixed >> 29) * 0xbf58476d1ce4e5b9ULL;
}

static inline uint64_t bits_of_double(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

#endif
