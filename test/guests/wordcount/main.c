/*
 * wordcount: counts the words of a text, alone or with other processes on any nodes.
 *
 *   wordcount [--progress] [--chunk-kib N] [--stripes N] TEXT TABLE WORKER WORKERS   one of WORKERS processes
 *   wordcount --report TABLE        the 20 most frequent words of a finished job
 *   wordcount --dump TABLE          every word and its count, sorted
 *   wordcount --file PATH [--dump]  the same, alone, on a file
 *
 * TEXT may be several dataspaces, with commas between: each process counts those at its place, which are best on its
 * node.  All processes run at the same time: each waits for what the others have for it.  The one that finishes last
 * prints the 20 most frequent words.
 */
#include "guest.h"
#include "job.h"
#include "report.h"

enum { CHUNK_KIB = 256 };

static const char USAGE[] =
    "usage: wordcount [--progress] [--chunk-kib N] [--stripes N] TEXT TABLE WORKER WORKERS\n"
    "       wordcount --report TABLE | --dump TABLE\n"
    "       wordcount --file PATH [--dump]";

static void print(const struct finished_job *job, bool dump) {
  if (dump) print_all(job->tables, job->workers);
  else print_top(job->results, ODONATA_PAGE, job->workers);
  if (fflush(stdout) != 0) die(EXIT_CALL, "stdout: cannot be written");
}

int main(int argc, char **argv) {
  struct task task = {0};
  task.progress = take_option(&argc, argv, "--progress", false) != NULL;
  uint64_t chunk_kib = number_option(&argc, argv, "--chunk-kib", CHUNK_KIB);
  uint64_t stripes = number_option(&argc, argv, "--stripes", 0);
  const char *file = take_option(&argc, argv, "--file", true);
  bool dump = take_option(&argc, argv, "--dump", false) != NULL;
  bool report = take_option(&argc, argv, "--report", false) != NULL;
  no_more_options(argc, argv);
  if (chunk_kib < 1 || chunk_kib > 1 << 20) die(EXIT_USAGE, "--chunk-kib: give 1 to 1048576");
  if (stripes > 8192) die(EXIT_USAGE, "--stripes: give at most 8192 (2 GiB)");
  task.chunk_bytes = (uint32_t)chunk_kib * 1024;
  task.stripes = (uint32_t)stripes;

  if (file != NULL) {
    if (argc != 1) die(EXIT_USAGE, "%s", USAGE);
    struct finished_job job = work_alone(file, task.chunk_bytes, task.stripes);
    print(&job, dump);
    return 0;
  }
  if (dump || report) {
    if (argc != 2) die(EXIT_USAGE, "%s", USAGE);
    struct finished_job job = open_finished(argv[1]);
    print(&job, dump);
    return 0;
  }
  if (argc != 5) die(EXIT_USAGE, "%s", USAGE);
  task.text_name = argv[1];
  task.table_name = argv[2];
  uint64_t worker = number(argv[3], "WORKER"), workers = number(argv[4], "WORKERS");
  if (workers < 1 || workers > 1000 || worker >= workers) {
    die(EXIT_USAGE, "WORKER counts from 0 up to WORKERS - 1, WORKERS is at most 1000");
  }
  task.worker = (uint32_t)worker;
  task.workers = (uint32_t)workers;
  struct finished_job job;
  if (work(&task, &job)) print(&job, false);
  return 0;
}
