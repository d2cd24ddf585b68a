#include "job.h"

#include "guest.h"
#include "outbox.h"

enum { PROGRESS_EVERY_MS = 200, PLAN_TIMEOUT_MS = 30000 };

/* Where outboxes are is shared; room for half of a table for each process, up to eight. Pages that nobody touches cost nothing. */
enum { OUTBOX_STRIPE_BYTES = 128 * 1024, OUTBOX_WORKERS_MAX = 8 };
#define OUTBOXES_BYTES_MAX (1ull << 30)

_Static_assert(sizeof(struct job) <= ODONATA_PAGE && sizeof(struct result) <= ODONATA_PAGE, "a page each");

struct desk {
  uint64_t outbox;   /* in bytes, of the dataspace */
  uint64_t begins[]; /* of the words for each process, in the outbox, and where the last ones end */
};

/** Where everything is in the dataspace, in bytes. */
struct layout {
  uint64_t claims, desks, desk_bytes, results, slots, heaps, outboxes, end;
};

static uint64_t whole_pages(uint64_t bytes) { return (bytes + ODONATA_PAGE - 1) / ODONATA_PAGE * ODONATA_PAGE; }

static struct layout lay_out(uint32_t stripe_count, uint32_t workers) {
  uint64_t each = workers < OUTBOX_WORKERS_MAX ? workers : OUTBOX_WORKERS_MAX;
  uint64_t room = each * stripe_count * OUTBOX_STRIPE_BYTES;
  struct layout layout = {.claims = ODONATA_PAGE};
  layout.desks = layout.claims + TEXTS_MAX * ODONATA_PAGE;
  layout.desk_bytes = whole_pages(sizeof(struct desk) + (workers + 1) * sizeof(uint64_t));
  layout.results = layout.desks + workers * layout.desk_bytes;
  layout.slots = layout.results + (uint64_t)workers * ODONATA_PAGE;
  layout.heaps = layout.slots + (uint64_t)stripe_count * STRIPE_SLOTS_BYTES;
  layout.outboxes = layout.heaps + (uint64_t)stripe_count * STRIPE_HEAP_BYTES;
  layout.end = layout.outboxes + (room < OUTBOXES_BYTES_MAX ? room : OUTBOXES_BYTES_MAX);
  return layout;
}

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

__attribute__((noreturn)) static void refuse_other(const struct job *job, const struct task *task) {
  die(EXIT_USAGE, "table %s belongs to another job (%u workers, %" PRIu64 " bytes of text, chunks of %u bytes)",
      task->table_name, (unsigned)job->workers, job->text_bytes, (unsigned)job->chunk_bytes);
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
    refuse_other(job, task);
  }
}

/** Its size says how many stripes and processes there are: of another size it is of another job. @returns its id */
static uint64_t open_table(const struct task *task, uint64_t bytes) {
  struct odonata_dataspace ds;
  uint32_t name_length = (uint32_t)strlen(task->table_name);
  int32_t result = odonata_ds_open(task->table_name, name_length, bytes, ODONATA_OPEN_CREATE, &ds);
  if (result == ODONATA_EINVAL) refuse_other((const struct job *)map_dataspace(task->table_name, 0, ODONATA_READ).base, task);
  if (result != 0) die(EXIT_CALL, "dataspace %s: %s (errno %d)", task->table_name, strerror(result), (int)result);
  return ds.id;
}

/** Its own texts: that is where its pages are. To bring those of others here costs as much as to count their words. */
static uint32_t count_own(const struct task *task, unsigned char *claims, const struct text *texts, uint32_t count,
                          struct word_table *words, struct progress *progress) {
  uint32_t mine = 0;
  uint32_t own = task->worker * count / task->workers, next = (task->worker + 1) * count / task->workers;
  for (uint32_t place = own; place < (next > own ? next : own + 1); place++) {
    const struct text *text = &texts[place];
    uint32_t *claimed = (uint32_t *)(claims + (uint64_t)place * ODONATA_PAGE);
    for (;;) {
      uint32_t chunk = __atomic_fetch_add(claimed, 1, __ATOMIC_SEQ_CST);
      if (chunk >= text->chunks) break;
      uint64_t begin = (uint64_t)chunk * task->chunk_bytes, end = begin + task->chunk_bytes;
      count_words(words, text->base, text->bytes, begin, end < text->bytes ? end : text->bytes);
      mine++;
      tell(progress, "count", chunk + 1, text->chunks);
    }
  }
  return mine;
}

/**
 * What a process uses of the dataspace, in mappings of their own: beyond the end of a mapping nothing is asked for ahead.
 * @param begin, end bytes of the dataspace
 */
static unsigned char *map_part(uint64_t dataspace, uint64_t begin, uint64_t end, int32_t prot) {
  uint64_t from = begin / ODONATA_PAGE * ODONATA_PAGE, bytes = whole_pages(end - from);
  unsigned char *base = aligned_alloc(ODONATA_PAGE, bytes);
  if (base == NULL) die(EXIT_CALL, "out of memory");
  must(odonata_ds_map(dataspace, base, (uint32_t)bytes, from, prot), "mapping a part of the table");
  return base + (begin - from);
}

/** What the processes share, as one of them has it mapped. */
struct shared {
  uint64_t dataspace;
  struct layout layout;
  unsigned char *head; /* all before the table */
};

static struct desk *desk_of(const struct shared *shared, uint32_t worker) {
  return (struct desk *)(shared->head + shared->layout.desks + worker * shared->layout.desk_bytes);
}

static struct result *result_of(const struct shared *shared, uint32_t worker) {
  return (struct result *)(shared->head + shared->layout.results + (uint64_t)worker * ODONATA_PAGE);
}

/** Puts what others have to merge where they find it. @returns bytes of it */
static uint64_t hand_over(const struct shared *shared, const struct task *task, struct placed_words all) {
  struct job *job = (struct job *)shared->head;
  struct desk *desk = desk_of(shared, task->worker);
  plan_outbox(desk->begins, all, job->stripes, task->worker, task->workers);
  uint64_t bytes = desk->begins[task->workers];
  if (bytes == 0) return 0;
  uint64_t taken = __atomic_fetch_add(&job->outboxes_bytes, whole_pages(bytes), __ATOMIC_SEQ_CST);
  desk->outbox = shared->layout.outboxes + taken;
  if (desk->outbox + whole_pages(bytes) > shared->layout.end) {
    die(EXIT_CALL, "no room for what the processes hand each other: give all of them a larger --stripes");
  }
  unsigned char *outbox = map_part(shared->dataspace, desk->outbox, desk->outbox + bytes, ODONATA_READ_WRITE);
  fill_outbox(outbox, all, job->stripes, task->worker, task->workers);
  return bytes;
}

static uint32_t *no_words(struct stripes stripes) {
  uint32_t *words = calloc(stripes.end - stripes.begin + 1, sizeof *words);
  if (words == NULL) die(EXIT_CALL, "out of memory");
  return words;
}

/** Its stripes. A slot is read before it is written, which would bring each page twice: so all are taken for writing first. */
static struct own_table map_own(const struct shared *shared, const struct task *task, uint32_t stripe_count) {
  struct stripes own = stripes_of(stripe_count, task->worker, task->workers);
  struct own_table table = {.stripes = own, .stripe_count = stripe_count, .words = no_words(own)};
  if (own.begin == own.end) return table;
  const struct layout *layout = &shared->layout;
  uint64_t begin = layout->slots + (uint64_t)own.begin * STRIPE_SLOTS_BYTES;
  uint64_t end = layout->slots + (uint64_t)own.end * STRIPE_SLOTS_BYTES;
  table.slots = (struct shared_slot *)map_part(shared->dataspace, begin, end, ODONATA_READ_WRITE);
  odonata_touch_for_write(table.slots, end - begin);
  begin = layout->heaps + (uint64_t)own.begin * STRIPE_HEAP_BYTES;
  end = layout->heaps + (uint64_t)own.end * STRIPE_HEAP_BYTES;
  table.heap = map_part(shared->dataspace, begin, end, ODONATA_READ_WRITE);
  return table;
}

/** Merges what all have for its stripes. */
static void merge_own(const struct shared *shared, const struct task *task, struct placed_words all,
                      struct own_table *table, struct progress *progress) {
  struct placed_words own = placed_in(all, table->stripes);
  for (size_t i = 0; i < own.count; i++) add_to_table(table, own.words[i].word);
  tell(progress, "merge", 1, task->workers);
  for (uint32_t i = 1; i < task->workers; i++) {
    const struct desk *desk = desk_of(shared, (task->worker + i) % task->workers);
    uint64_t begin = desk->outbox + desk->begins[task->worker], end = desk->outbox + desk->begins[task->worker + 1];
    if (begin < end) take_words(map_part(shared->dataspace, begin, end, ODONATA_READ), end - begin, table);
    tell(progress, "merge", i + 1, task->workers);
  }
}

bool work(const struct task *task, struct finished_job *finished) {
  uint64_t start_ns = now_ns();
  struct text texts[TEXTS_MAX];
  uint64_t text_bytes = 0;
  uint32_t chunks = 0, count = map_texts(task, texts, &text_bytes, &chunks);
  uint32_t stripe_count = task->stripes != 0 ? task->stripes : stripes_for(text_bytes);
  struct shared shared = {.layout = lay_out(stripe_count, task->workers)};
  shared.dataspace = open_table(task, shared.layout.end);
  shared.head = map_part(shared.dataspace, 0, shared.layout.slots, ODONATA_READ_WRITE);
  struct job *job = (struct job *)shared.head;
  agree(job, task, text_bytes, chunks, stripe_count);

  struct progress progress = {task->progress, task->worker, 0};
  struct word_table words = {0};
  uint64_t counted_ns = now_ns();
  uint32_t mine = count_own(task, shared.head + shared.layout.claims, texts, count, &words, &progress);
  uint64_t sent_ns = now_ns();
  struct placed_words all = place_words(&words, stripe_count);
  uint64_t sent_bytes = hand_over(&shared, task, all);
  uint64_t waited_ns = now_ns();
  int32_t met = odonata_barrier(shared.dataspace, 0, task->workers, 0, -1);
  if (met == ODONATA_EOWNERDEAD) die(EXIT_CALL, "a process of the job died: remove %s, and begin again", task->table_name);
  must(met, "barrier");
  uint64_t merged_ns = now_ns();
  struct own_table table = map_own(&shared, task, stripe_count);
  merge_own(&shared, task, all, &table, &progress);
  free(all.words);
  make_result(&table, result_of(&shared, task->worker));
  uint64_t end_ns = now_ns();
  fprintf(stderr,
          "done worker=%u node=%d pid=%" PRId64 " chunks=%u words=%" PRIu64 " distinct=%zu start_ms=%" PRIu64
          " count_ms=%" PRIu64 " send_ms=%" PRIu64 " wait_ms=%" PRIu64 " merge_ms=%" PRIu64 " sent=%" PRIu64 "\n",
          (unsigned)task->worker, (int)odonata_node_id(), odonata_process_id(), (unsigned)mine, words.total,
          words.used, (counted_ns - start_ns) / 1000000, (sent_ns - counted_ns) / 1000000,
          (waited_ns - sent_ns) / 1000000, (merged_ns - waited_ns) / 1000000, (end_ns - merged_ns) / 1000000, sent_bytes);
  *finished = (struct finished_job){(const unsigned char *)result_of(&shared, 0), NULL, task->workers};
  return __atomic_add_fetch(&job->finished, 1, __ATOMIC_SEQ_CST) == task->workers;
}

struct finished_job open_finished(const char *table_name) {
  struct mapping shared = map_dataspace(table_name, 0, ODONATA_READ);
  const struct job *job = (const struct job *)shared.base;
  if (job->state != PLAN_READY || lay_out(job->stripes, job->workers).end != shared.ds.size_bytes) {
    die(EXIT_USAGE, "dataspace %s holds no word count", table_name);
  }
  uint32_t finished = __atomic_load_n(&job->finished, __ATOMIC_SEQ_CST);
  if (finished < job->workers) {
    die(EXIT_USAGE, "the job is not finished: %u of %u processes are", (unsigned)finished, (unsigned)job->workers);
  }
  struct layout layout = lay_out(job->stripes, job->workers);
  struct own_table *tables = calloc(job->workers, sizeof *tables);
  if (tables == NULL) die(EXIT_CALL, "out of memory");
  for (uint32_t worker = 0; worker < job->workers; worker++) {
    struct stripes stripes = stripes_of(job->stripes, worker, job->workers);
    struct shared_slot *slots = (struct shared_slot *)(shared.base + layout.slots);
    unsigned char *heap = shared.base + layout.heaps + (uint64_t)stripes.begin * STRIPE_HEAP_BYTES;
    tables[worker] = (struct own_table){stripes, job->stripes, slots + (size_t)stripes.begin * STRIPE_SLOTS, heap, NULL, 0};
  }
  return (struct finished_job){shared.base + layout.results, tables, job->workers};
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

struct finished_job work_alone(const char *path, uint32_t chunk_bytes, uint32_t stripes) {
  uint64_t bytes;
  unsigned char *text = read_file(path, &bytes);
  struct word_table words = {0};
  for (uint64_t begin = 0; begin < bytes; begin += chunk_bytes) {
    uint64_t end = begin + chunk_bytes;
    count_words(&words, text, bytes, begin, end < bytes ? end : bytes);
  }
  free(text);
  uint32_t count = stripes != 0 ? stripes : stripes_for(bytes);
  struct stripes all_stripes = {0, count};
  struct own_table *table = malloc(sizeof *table);
  struct result *result = malloc(sizeof *result);
  void *slots = calloc(count, STRIPE_SLOTS_BYTES), *heap = calloc(count, STRIPE_HEAP_BYTES);
  if (table == NULL || result == NULL || slots == NULL || heap == NULL) die(EXIT_CALL, "out of memory");
  *table = (struct own_table){all_stripes, count, slots, heap, no_words(all_stripes), 0};
  struct placed_words all = place_words(&words, count);
  for (size_t i = 0; i < all.count; i++) add_to_table(table, all.words[i].word);
  free(all.words);
  make_result(table, result);
  return (struct finished_job){(const unsigned char *)result, table, 1};
}
