/*
 * The job: all processes share one dataspace.
 *
 *   page 0            struct job: who works on what, and how far they are
 *   a page a text     how many of its chunks are claimed: who counts it writes that for each, and nobody else
 *   a desk a process  where its outbox is, in whole pages
 *   a page a process  struct result: what it found
 *   the table         shared-table.h: slots, then heaps; each process has some of its stripes
 *   outboxes          outbox.h: taken from the beginning, one after the other, each in pages of its own
 *
 * Each process counts its words in private memory, puts those of others into its outbox, waits until all have done so, and
 * merges what all have for its stripes, on its own node.  Little moves: each word that a process has for another one, once.
 *
 * A new dataspace reads as zeros, which is a valid beginning: whoever comes first writes the plan, the others wait for it
 * and check that they agree.
 */
#ifndef JOB_H
#define JOB_H

#include "report.h"
#include "shared-table.h"

enum { PLAN_MISSING = 0, PLAN_BEING_WRITTEN = 1, PLAN_READY = 2 };

/* Dataspaces that the text may be in, one after the other. */
enum { TEXTS_MAX = 8 };

struct job {
  /* The plan: written once, before `state` is PLAN_READY. */
  uint32_t state;
  uint32_t workers;
  uint64_t text_bytes;
  uint32_t chunk_bytes;
  uint32_t chunks;
  uint32_t stripes;
  uint32_t finished; /* processes that have merged everything; atomic, like those that follow */
  uint64_t outboxes_bytes; /* taken so far */
};

/** What one process is asked to do. */
struct task {
  const char *text_name; /* several with commas between: a process counts those that are at its place */
  const char *table_name;
  uint32_t worker, workers;
  uint32_t chunk_bytes;
  uint32_t stripes; /* 0: by the size of the text */
  bool progress;    /* a line on stderr now and then */
};

/** A job whose dataspace is mapped, or one alone in private memory. */
struct finished_job {
  const unsigned char *results; /* a page apart */
  const struct own_table *tables; /* of each process; NULL: only the results are mapped */
  uint32_t workers;
};

/** Counts chunks until none is left and merges; true when this process was the last of all. */
bool work(const struct task *task, struct finished_job *finished);

/** Maps a finished job for reading; ends the program when it is not finished. */
struct finished_job open_finished(const char *table_name);

/** The same job alone, on a file and in private memory: calls nothing of the virtual kernel but WASI. */
struct finished_job work_alone(const char *path, uint32_t chunk_bytes, uint32_t stripes);

#endif
