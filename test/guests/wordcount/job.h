/*
 * The job: the first page of the table's dataspace, shared by all processes.  A new dataspace reads as zeros, which
 * is a valid beginning: whoever comes first writes the plan, the others wait for it and check that they agree.
 */
#ifndef JOB_H
#define JOB_H

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
  uint32_t reserved;
  /* Atomic counters. */
  uint32_t next_chunk[TEXTS_MAX]; /* claimed so far of each; runs over its chunks by one a process */
  uint32_t finished;   /* processes that have merged everything */
  uint64_t words;      /* counted, repeats included */
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

/** Counts chunks until none is left and merges; true when this process was the last of all. `*table` is mapped. */
bool work(const struct task *task, struct shared_table *table);

/** Maps a finished job's table for reading, under a SHARED lock; ends the program when it is not finished. */
struct shared_table open_finished(const char *table_name);

/** The same job alone, on a file and in private memory: calls nothing of the virtual kernel but WASI. */
struct shared_table work_alone(const char *path, uint32_t chunk_bytes, uint32_t stripes);

#endif
