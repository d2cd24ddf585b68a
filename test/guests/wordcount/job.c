#include "job.h"

#include "guest.h"

enum { PROGRESS_EVERY_MS = 200, PLAN_TIMEOUT_MS = 30000 };

/** Progress goes to stderr as `progress worker=1 phase=count done=12 total=160`, at most every 200 ms. */
struct progress {
  bool wanted;
  uint32_t worker;
  uint64_t last_ns;
};

static void tell(struct progress *progress, const char *phase, uint32_t done, uint32_t total) {
  if (!progress->wanted) return;
  uint64_t now = now_ns();
  if (done != total && now - progress->last_ns < PROGRESS_EVERY_MS * 1000000ull) return;
  progress->last_ns = now;
  fprintf(stderr, "progress worker=%u phase=%s done=%u total=%u\n", (unsigned)progress->worker, phase, (unsigned)done,
          (unsigned)total);
}

static void tell_merge(uint32_t done, uint32_t total, void *context) { tell(context, "merge", done, total); }

static uint32_t chunks_of(uint64_t text_bytes, uint32_t chunk_bytes) {
  return (uint32_t)((text_bytes + chunk_bytes - 1) / chunk_bytes);
}

struct text {
  const unsigned char *base;
  uint64_t bytes;
  uint32_t chunks;
};

/** Maps each dataspace of a list of names, and adds up what they have. */
static uint32_t map_texts(const struct task *task, struct text *texts, uint64_t *bytes, uint32_t *chunks) {
  uint32_t count = 0;
  for (const char *at = task->text_name, *end; *at != 0; at = *end == 0 ? end : end + 1) {
    end = at + strcspn(at, ",");
    if (count == TEXTS_MAX) die(EXIT_USAGE, "%s: at most %d dataspaces", task->text_name, TEXTS_MAX);
    char *name = strndup(at, (size_t)(end - at));
    if (name == NULL) die(EXIT_CALL, "out of memory");
    struct mapping text = map_dataspace(name, 0, ODONATA_READ);
    free(name);
    struct text *found = &texts[count++];
    *found = (struct text){text.base, text.ds.size_bytes, chunks_of(text.ds.size_bytes, task->chunk_bytes)};
    *bytes += found->bytes;
    *chunks += found->chunks;
  }
  return count;
}

/** Writes the plan, or waits for the one who does; ends the program when it is for another job than ours. */
static void agree(struct job *job, const struct task *task, uint64_t text_bytes, uint32_t chunks, uint32_t stripes) {
  uint32_t missing = PLAN_MISSING;
  if (__atomic_compare_exchange_n(&job->state, &missing, PLAN_BEING_WRITTEN, false, __ATOMIC_SEQ_CST,
                                  __ATOMIC_SEQ_CST)) {
    job->workers = task->workers;
    job->text_bytes = text_bytes;
    job->chunk_bytes = task->chunk_bytes;
    job->chunks = chunks;
    job->stripes = stripes;
    __atomic_store_n(&job->state, PLAN_READY, __ATOMIC_SEQ_CST);
    uint32_t woken;
    must(odonata_wake(&job->state, UINT32_MAX, &woken), "wake");
    return;
  }
  uint64_t end_ns = now_ns() + PLAN_TIMEOUT_MS * 1000000ull;
  while (__atomic_load_n(&job->state, __ATOMIC_SEQ_CST) != PLAN_READY) {
    if (now_ns() >= end_ns) die(EXIT_CALL, "whoever began this job did not write its plan within 30 s");
    int32_t result = odonata_wait32(&job->state, PLAN_BEING_WRITTEN, 1000000000);
    if (result != ODONATA_EAGAIN && result != ODONATA_ETIMEDOUT) must(result, "wait32");
  }
  if (__atomic_load_n(&job->finished, __ATOMIC_SEQ_CST) >= job->workers) {
    die(EXIT_USAGE, "table %s holds a finished job: remove it, or name another", task->table_name);
  }
  if (job->workers != task->workers || job->text_bytes != text_bytes || job->chunk_bytes != task->chunk_bytes ||
      job->stripes != stripes) {
    die(EXIT_USAGE, "table %s belongs to another job (%u workers, %" PRIu64 " bytes of text, chunks of %u bytes)",
        task->table_name, (unsigned)job->workers, job->text_bytes, (unsigned)job->chunk_bytes);
  }
}

/** Of all chunks of all texts. */
static uint32_t claimed(const struct job *job, const struct text *texts, uint32_t count) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t next = __atomic_load_n(&job->next_chunk[i], __ATOMIC_SEQ_CST);
    sum += next < texts[i].chunks ? next : texts[i].chunks;
  }
  return sum;
}

bool work(const struct task *task, struct shared_table *table) {
  uint64_t start_ns = now_ns();
  struct text texts[TEXTS_MAX];
  uint64_t text_bytes = 0;
  uint32_t chunks = 0, count = map_texts(task, texts, &text_bytes, &chunks);
  uint32_t stripes = task->stripes != 0 ? task->stripes : stripes_for(text_bytes);
  struct mapping shared = map_dataspace(task->table_name, table_bytes(stripes), ODONATA_READ_WRITE);
  struct job *job = (struct job *)shared.base;
  *table = (struct shared_table){shared.ds.id, (struct stripe *)(shared.base + ODONATA_PAGE), stripes};
  agree(job, task, text_bytes, chunks, stripes);

  struct progress progress = {task->progress, task->worker, 0};
  struct word_table words = {0};
  uint32_t mine = 0;
  uint64_t counted_ns = now_ns();
  /* Its own: that is where its pages are. To bring those of others here costs as much as to count their words. */
  uint32_t own = task->worker * count / task->workers, next = (task->worker + 1) * count / task->workers;
  for (uint32_t place = own; place < (next > own ? next : own + 1); place++) {
    const struct text *text = &texts[place];
    for (;;) {
      uint32_t chunk = __atomic_fetch_add(&job->next_chunk[place], 1, __ATOMIC_SEQ_CST);
      if (chunk >= text->chunks) break;
      uint64_t begin = (uint64_t)chunk * task->chunk_bytes, end = begin + task->chunk_bytes;
      count_words(&words, text->base, text->bytes, begin, end < text->bytes ? end : text->bytes);
      mine++;
      tell(&progress, "count", claimed(job, texts, count), chunks);
    }
  }
  uint64_t merged_ns = now_ns();
  uint32_t first = (uint32_t)((uint64_t)stripes * task->worker / task->workers);
  struct merge_cost cost = merge_words(table, &words, first, tell_merge, &progress);
  uint64_t end_ns = now_ns();
  __atomic_fetch_add(&job->words, words.total, __ATOMIC_SEQ_CST);
  fprintf(stderr,
          "done worker=%u node=%d pid=%" PRId64 " chunks=%u words=%" PRIu64 " distinct=%zu start_ms=%" PRIu64
          " count_ms=%" PRIu64 " merge_ms=%" PRIu64 " locks=%u lock_ms=%" PRIu64 "\n",
          (unsigned)task->worker, (int)odonata_node_id(), odonata_process_id(), (unsigned)mine, words.total,
          words.used, (counted_ns - start_ns) / 1000000, (merged_ns - counted_ns) / 1000000,
          (end_ns - merged_ns) / 1000000, (unsigned)cost.locks, cost.lock_ns / 1000000);
  return __atomic_add_fetch(&job->finished, 1, __ATOMIC_SEQ_CST) == task->workers;
}

struct shared_table open_finished(const char *table_name) {
  struct mapping shared = map_dataspace(table_name, 0, ODONATA_READ);
  must(odonata_lock(shared.ds.id, 0, shared.ds.size_bytes - 1, ODONATA_LOCK_SHARED, -1), "lock");
  const struct job *job = (const struct job *)shared.base;
  if (job->state != PLAN_READY || table_bytes(job->stripes) != shared.ds.size_bytes) {
    die(EXIT_USAGE, "dataspace %s holds no word count", table_name);
  }
  uint32_t finished = __atomic_load_n(&job->finished, __ATOMIC_SEQ_CST);
  if (finished < job->workers) {
    die(EXIT_USAGE, "the job is not finished: %u of %u processes are", (unsigned)finished, (unsigned)job->workers);
  }
  return (struct shared_table){shared.ds.id, (struct stripe *)(shared.base + ODONATA_PAGE), job->stripes};
}

static unsigned char *read_file(const char *path, uint64_t *bytes) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) die(EXIT_USAGE, "%s: cannot be opened", path);
  if (fseek(file, 0, SEEK_END) != 0) die(EXIT_CALL, "%s: cannot seek", path);
  long size = ftell(file);
  rewind(file);
  unsigned char *text = malloc((size_t)size + 1);
  if (size < 0 || text == NULL) die(EXIT_CALL, "%s: does not fit into memory", path);
  if (fread(text, 1, (size_t)size, file) != (size_t)size) die(EXIT_CALL, "%s: cannot be read", path);
  fclose(file);
  *bytes = (uint64_t)size;
  return text;
}

static void tell_nothing(uint32_t done, uint32_t total, void *context) {
  (void)done;
  (void)total;
  (void)context;
}

struct shared_table work_alone(const char *path, uint32_t chunk_bytes, uint32_t stripes) {
  uint64_t bytes;
  unsigned char *text = read_file(path, &bytes);
  struct word_table words = {0};
  for (uint64_t begin = 0; begin < bytes; begin += chunk_bytes) {
    uint64_t end = begin + chunk_bytes;
    count_words(&words, text, bytes, begin, end < bytes ? end : bytes);
  }
  free(text);
  uint32_t count = stripes != 0 ? stripes : stripes_for(bytes);
  struct shared_table table = {0, calloc(count, sizeof(struct stripe)), count};
  if (table.stripes == NULL) die(EXIT_CALL, "out of memory");
  merge_words(&table, &words, 0, tell_nothing, NULL);
  return table;
}
