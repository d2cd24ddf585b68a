/*
 * Programs that start programs: the same module plays each part.
 *
 *   family exit CODE            ends with it
 *   family spawn NODE,... CODE  a child on each node, which ends with CODE + 1, + 2, ...; prints what wait says of each
 *   family handle              says each USR1 that it gets, in a computing loop; ends at TERM, with 5
 *   family spin                 computes, and nothing else
 *   family sleep                until it is killed
 *   family wait NODE            a child that sleeps on that node; says its pid, waits for it, says how it ended
 *   family orphan               a child that outlives it; says its pid
 *   family bomb                 children without end; says at how many it was refused, and why
 *   family pipeline [NODE NODE NODE]  three children in a row, cat | sort | wc -l, of what is on standard input; prints what the last one says
 *   family cat | sort | wc      the stages of that
 *   family deaf                 a child that reads nothing and ends; what writing to it comes to
 *   family loop N               N children, one after another
 *   family kill PID             what a kill of it comes to
 *   family watch NODE           a child there that sleeps: it is stopped, goes on, is ended; prints what wait says
 *   family pipes N              N pipes at once, or as many as it may have; then N one after another; says what came of it
 *   family open                 opens what it may, and leaves it open; says how many
 *   family flood                writes until it is ended into a pipe that a child has, and does not read
 *   family say WORD             WORD on standard output, then on standard error, then that it is over on standard output
 *   family files NODE           children there with files as standard streams; prints what came of it
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *program;

static pid_t start(const char *node, const char *part, const char *word) {
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  posix_spawnattr_setnode_np(&how, node);
  char *args[] = { "family", (char *)part, (char *)word, NULL };
  pid_t pid = 0;
  int error = posix_spawn(&pid, program, NULL, &how, args, environ);
  posix_spawnattr_destroy(&how);
  if (error == 0) return pid;
  errno = error;
  return -1;
}

static void say_end(pid_t pid) {
  int status = 0;
  pid_t ended = waitpid(pid, &status, 0);
  if (ended < 0) printf("wait: %s\n", strerror(errno));
  else if (WIFSIGNALED(status)) printf("%d signal %d\n", ended, WTERMSIG(status));
  else printf("%d code %d\n", ended, WEXITSTATUS(status));
  fflush(stdout);
}

/** A child whose standard input and output are these; -1: as ours. */
static pid_t stage(const char *part, const char *node, int in, int out, int unused) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (in >= 0) posix_spawn_file_actions_adddup2(&actions, in, 0);
  if (out >= 0) posix_spawn_file_actions_adddup2(&actions, out, 1);
  if (in >= 0) posix_spawn_file_actions_addclose(&actions, in);
  if (out >= 0) posix_spawn_file_actions_addclose(&actions, out);
  if (unused >= 0) posix_spawn_file_actions_addclose(&actions, unused);
  char *args[] = { "family", (char *)part, NULL };
  pid_t pid = -1;
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  posix_spawnattr_setnode_np(&how, node);
  int error = posix_spawn(&pid, program, &actions, &how, args, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) printf("%s: %s\n", part, strerror(error));
  return pid;
}

/** A child that says WORD, with these actions. */
static void say_in(const char *node, const char *part, const char *word, posix_spawn_file_actions_t *actions) {
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  posix_spawnattr_setnode_np(&how, node);
  char *args[] = { "family", (char *)part, (char *)word, NULL };
  pid_t pid = -1;
  int status = 0, error = posix_spawn(&pid, program, actions, &how, args, environ);
  posix_spawn_file_actions_destroy(actions);
  posix_spawn_file_actions_init(actions);
  if (error != 0) printf("%s: %s\n", part, strerror(error));
  else if (waitpid(pid, &status, 0) != pid || status != 0) printf("%s: status %d\n", part, status);
  fflush(stdout);
}

static void print_file(const char *path) {
  char line[256];
  FILE *file = fopen(path, "r");
  if (file == NULL) printf("%s: %s\n", path, strerror(errno));
  while (file != NULL && fgets(line, sizeof line, file) != NULL) printf("%s| %s", path, line);
  if (file != NULL) fclose(file);
  fflush(stdout);
}

/** What a shell does for each kind of redirection. */
static int files(const char *node) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // say one > /tmp/both 2>&1
  posix_spawn_file_actions_addopen(&actions, 1, "/tmp/both", O_WRONLY | O_CREAT | O_TRUNC, 0666);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  say_in(node, "say", "one", &actions);
  print_file("/tmp/both");
  // say two > /work/out 2>> /work/err; say three >> /work/out 2> /dev/null
  posix_spawn_file_actions_addopen(&actions, 1, "/work/out", O_WRONLY | O_CREAT | O_TRUNC, 0666);
  posix_spawn_file_actions_addopen(&actions, 2, "/work/err", O_WRONLY | O_CREAT | O_APPEND, 0666);
  say_in(node, "say", "two", &actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/work/out", O_WRONLY | O_CREAT | O_APPEND, 0666);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0666);
  say_in(node, "say", "three", &actions);
  print_file("/work/out");
  print_file("/work/err");
  // cat < /work/out, and from where the parent is in it
  posix_spawn_file_actions_addopen(&actions, 0, "/work/out", O_RDONLY, 0);
  say_in(node, "cat", "", &actions);
  int at = open("/work/out", O_RDONLY);
  lseek(at, 8, SEEK_SET);
  posix_spawn_file_actions_adddup2(&actions, at, 0);
  say_in(node, "cat", "", &actions);
  printf("at %d\n", (int)lseek(at, 0, SEEK_CUR));
  // (say four; say five) > /tmp/list, with one open file
  int list = open("/tmp/list", O_WRONLY | O_CREAT | O_TRUNC, 0666);
  for (int i = 0; i < 2; i++) {
    posix_spawn_file_actions_adddup2(&actions, list, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0666);
    say_in(node, "say", i == 0 ? "four" : "five", &actions);
  }
  dprintf(list, "end\n");
  print_file("/tmp/list");
  // What is not there; a directory
  posix_spawn_file_actions_addopen(&actions, 0, "/work/none", O_RDONLY, 0);
  say_in(node, "cat", "", &actions);
  posix_spawn_file_actions_addopen(&actions, 7, "/work", O_RDONLY, 0);
  say_in(node, "cat", "", &actions);
  posix_spawn_file_actions_addopen(&actions, 7, "/work/out", O_RDONLY, 0);
  say_in(node, "reads", "7", &actions);
  // Standard output of its own, and back.
  int kept = dup(1);
  dup2(list, 1);
  puts("to the list");
  fflush(stdout);
  dup2(kept, 1);
  print_file("/tmp/list");
  return 0;
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int sorted(void) {
  static char *lines[4096];
  char line[256];
  size_t count = 0;
  while (count < 4096 && fgets(line, sizeof line, stdin) != NULL) lines[count++] = strdup(line);
  qsort(lines, count, sizeof *lines, compare);
  for (size_t i = 0; i < count; i++) fputs(lines[i], stdout);
  return 0;
}

static volatile sig_atomic_t users, ends, children;
static void on_signal(int signal) {
  if (signal == SIGUSR1) users++;
  else if (signal == SIGCHLD) children++;
  else ends++;
}

/** Once, and not with each signal. */
static int begun;
__attribute__((constructor)) static void begin(void) { begun++; }
static void at_end(void) { printf("begun %d, over\n", begun); }

/** Signals to a child, and what wait tells of each. */
static int watch(const char *node) {
  signal(SIGCHLD, on_signal);
  pid_t child = start(node, "sleep", "");
  int signals[] = { SIGSTOP, SIGCONT, SIGTERM }, status, told = 0;
  for (int i = 0; i < 3; i++) {
    kill(child, signals[i]);
    while (waitpid(child, &status, WUNTRACED | WCONTINUED) < 0 && errno == EINTR) {}
    if (WIFSTOPPED(status)) printf("stopped by %s\n", WSTOPSIG(status) == SIGSTOP ? "STOP" : "another");
    else if (WIFCONTINUED(status)) puts("continued");
    else printf("ended by %s\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM ? "TERM" : "another");
    if (i == 0) printf("%d more\n", waitpid(child, &status, WUNTRACED | WNOHANG));
    fflush(stdout);
    told++;
  }
  for (int i = 0; i < 50 && children < told; i++) usleep(20000);
  printf("SIGCHLD %s\n", children == told ? "each time" : "not each time");
  return 0;
}

/** Pipes until there are no more; and whether all is well afterwards. */
static int pipes(int most) {
  static int ends[20000][2];
  int count = 0;
  while (count < most && count < 20000 && pipe(ends[count]) == 0) count++;
  printf("%s at %d\n", count < most ? strerror(errno) : "all", count);
  for (int i = 0; i < count; i++) {
    close(ends[i][0]);
    close(ends[i][1]);
  }
  int good = 0;
  for (int i = 0; i < most; i++) {
    char byte = 0;
    if (pipe(ends[0]) != 0) break;
    if (write(ends[0][1], "x", 1) == 1 && read(ends[0][0], &byte, 1) == 1 && byte == 'x') good++;
    close(ends[0][0]);
    close(ends[0][1]);
  }
  printf("%d one after another\n", good);
  return 0;
}

int main(int argc, char **argv) {
  program = getenv("FAMILY") != NULL ? getenv("FAMILY") : "/programs/family.wasm";
  const char *part = argc > 1 ? argv[1] : "";
  const char *word = argc > 2 ? argv[2] : "";
  if (strcmp(part, "exit") == 0) return atoi(word);
  if (strcmp(part, "parent") == 0) {
    printf("%d of %d\n", getpid(), getppid());
    return 0;
  }
  if (strcmp(part, "sleep") == 0) for (;;) sleep(3600);
  if (strcmp(part, "handle") == 0) {
    signal(SIGUSR1, on_signal);
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGTERM, &action, NULL);
    atexit(at_end);
    puts("ready");
    fflush(stdout);
    int said = 0;
    while (!ends) {
      if (*word == 's') sleep(100);
      if (users == said) continue;
      printf("USR1 %d\n", said = users);
      fflush(stdout);
    }
    return 5;
  }
  if (strcmp(part, "ticks") == 0) {
    for (;; usleep(50000)) {
      puts("tick");
      fflush(stdout);
    }
  }
  if (strcmp(part, "spin") == 0) {
    puts("ready");
    fflush(stdout);
    for (volatile unsigned at = 0;;) at++;
  }
  if (strcmp(part, "cat") == 0) {
    char bytes[4096];
    size_t got;
    while ((got = fread(bytes, 1, sizeof bytes, stdin)) > 0) fwrite(bytes, 1, got, stdout);
    return 0;
  }
  if (strcmp(part, "say") == 0) {
    printf("%s out\n", word);
    fflush(stdout);
    fprintf(stderr, "%s err\n", word);
    puts("over");
    return 0;
  }
  if (strcmp(part, "reads") == 0) {
    char bytes[64];
    ssize_t got = read(atoi(word), bytes, sizeof bytes);
    printf("%d bytes\n", (int)got);
    return 0;
  }
  if (strcmp(part, "pipes") == 0) return pipes(atoi(word));
  if (strcmp(part, "open") == 0) {
    int count = 0;
    while (open(word, O_RDONLY) >= 0) count++;
    printf("%s at %d\n", strerror(errno), count);
    return 0;
  }
  if (strcmp(part, "flood") == 0) {
    int ends[2];
    if (pipe(ends) != 0 || stage("sleep", "", ends[0], -1, ends[1]) < 0) return 1;
    static char bytes[65536];
    puts("ready");
    fflush(stdout);
    for (;;) write(ends[1], bytes, sizeof bytes);
  }
  if (strcmp(part, "watch") == 0) return watch(word);
  if (strcmp(part, "files") == 0) return files(word);
  if (strcmp(part, "sort") == 0) return sorted();
  if (strcmp(part, "wc") == 0) {
    char line[256], last[256] = "";
    int lines = 0;
    for (; fgets(line, sizeof line, stdin) != NULL; lines++) strcpy(last, line);
    printf("%d lines, the last is %s", lines, last);
    return 0;
  }
  if (strcmp(part, "pipeline") == 0) {
    int first[2], second[2];
    if (pipe(first) != 0 || pipe(second) != 0) return 1;
    pid_t cat = stage("cat", argc > 2 ? argv[2] : "", -1, first[1], first[0]);
    close(first[1]);
    pid_t sort = stage("sort", argc > 3 ? argv[3] : "", first[0], second[1], second[0]);
    close(first[0]);
    close(second[1]);
    pid_t wc = stage("wc", argc > 4 ? argv[4] : "", second[0], -1, -1);
    close(second[0]);
    say_end(cat);
    say_end(sort);
    say_end(wc);
    return 0;
  }
  if (strcmp(part, "deaf") == 0) {
    int ends[2];
    if (pipe(ends) != 0) return 1;
    pid_t child = stage("exit", "", ends[0], -1, ends[1]);
    close(ends[0]);
    say_end(child);
    if (*word == 'i') signal(SIGPIPE, SIG_IGN);
    ssize_t n = write(ends[1], "x", 1);
    printf("%zd %s\n", n, strerror(errno));
    return 0;
  }
  if (strcmp(part, "spawn") == 0) {
    char nodes[256];
    int code = argc > 3 ? atoi(argv[3]) : 0;
    strncpy(nodes, word, sizeof nodes - 1);
    pid_t children[16];
    int count = 0;
    for (char *node = strtok(nodes, ","); node != NULL && count < 16; node = strtok(NULL, ",")) {
      char with[16];
      snprintf(with, sizeof with, "%d", ++code);
      children[count] = start(node, "exit", with);
      if (children[count++] < 0) printf("%s: %s\n", node, strerror(errno));
    }
    for (int i = 0; i < count; i++) say_end(children[i]);
    say_end(-1);
    return 0;
  }
  if (strcmp(part, "wait") == 0) {
    pid_t child = start(word, argc > 3 ? argv[3] : "sleep", "");
    if (child < 0) printf("%s\n", strerror(errno));
    printf("child %d\n", child);
    fflush(stdout);
    say_end(child);
    return 0;
  }
  if (strcmp(part, "orphan") == 0) {
    printf("child %d\n", start(word, "sleep", ""));
    return 0;
  }
  if (strcmp(part, "bomb") == 0) {
    int count = 0;
    while (start("", "sleep", "") > 0) count++;
    printf("%s at %d\n", strerror(errno), count);
    kill(0, SIGKILL);
    return 1;
  }
  if (strcmp(part, "kill") == 0) {
    int result = kill(atoi(word), SIGTERM);
    printf("%d %s\n", result, result == 0 ? "" : strerror(errno));
    return 0;
  }
  if (strcmp(part, "loop") == 0) {
    int ended = 0;
    for (int i = 0; i < atoi(word); i++) {
      int status;
      pid_t child = start(argc > 3 ? argv[3] : "", "exit", "7");
      if (child > 0 && waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7) ended++;
    }
    printf("%d ended\n", ended);
    return 0;
  }
  return 64;
}
