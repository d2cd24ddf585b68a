/*
 * What runs beside this shell. Nothing forks: a program is spawned; a part of a script (a builtin, a loop, a function, what stands
 * in parentheses) is written down and run by another shell, which is told what this one knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "pipeline.h"

static int attributes(posix_spawnattr_t *how, const char *node, const pid_t *group) {
  posix_spawnattr_init(how);
  short flags = 0;
  if (shell.has_jobs && group != NULL) {
    flags |= POSIX_SPAWN_SETPGROUP;
    posix_spawnattr_setpgroup(how, *group);
  }
  if (node != NULL && strcmp(node, "any") == 0) flags |= POSIX_SPAWN_SPREAD_NP;
  else if (node != NULL && posix_spawnattr_setnode_np(how, node) != 0) return ENAMETOOLONG;
  posix_spawnattr_setflags(how, flags);
  return 0;
}

static int spawn_at(pid_t *pid, const char *path, char **words, char **environment, const char *node, pid_t *group) {
  posix_spawnattr_t how;
  int error = attributes(&how, node, group);
  if (error == 0) error = posix_spawn(pid, path, NULL, &how, words, environment);
  if (error == 0 && group != NULL && *group == 0) *group = *pid;
  return error;
}

enum kind { MODULE, SCRIPT };

/** By what a file begins with: text is a script. Of that the first line names what runs it. */
static enum kind kind_of(const char *path, char *head, size_t room) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, head, room - 1);
  if (fd >= 0) close(fd);
  // Whoever starts it says what is wrong with it.
  if (length < 0) return MODULE;
  head[length] = 0;
  return memchr(head, 0, (size_t)length) != NULL ? MODULE : SCRIPT;
}

/** The words after "#!": those of its first line, with "env" left out. @returns how many */
static int interpreter_of(char *head, char *words[2]) {
  int count = 0;
  if (strncmp(head, "#!", 2) != 0) return 0;
  head[strcspn(head, "\r\n")] = 0;
  for (char *at = head + 2; count < 2 && *(at += strspn(at, " \t")) != 0; count++) {
    words[count] = at;
    at += count == 0 ? strcspn(at, " \t") : strlen(at);
    if (*at != 0) *at++ = 0;
  }
  if (count == 2 && strcmp(words[0], "/usr/bin/env") == 0) {
    words[0] = words[1];
    count = 1;
  }
  return count;
}

static bool is_shell(const char *interpreter) {
  const char *name = strrchr(interpreter, '/');
  return strcmp(name == NULL ? interpreter : name + 1, "sh") == 0;
}

static int spawn_script(pid_t *pid, const char *path, char **words, char **environment, const char *node, pid_t *group, char *head) {
  char *interpreter[2];
  int count = interpreter_of(head, interpreter);
  bool by_shell = count == 0 || is_shell(interpreter[0]);
  const char *program = by_shell ? SELF : strchr(interpreter[0], '/') != NULL ? interpreter[0] : path_of_program(interpreter[0]);
  struct stat about;
  if (program == NULL || (!by_shell && stat(program, &about) < 0)) {
    complain("%s: it is to be run by %s, which is not there", path, interpreter[0]);
    return ENOLINK;
  }
  struct list all = list_in(&scratch);
  list_add(&all, by_shell ? "sh" : interpreter[0]);
  if (count == 2) list_add(&all, interpreter[1]);
  list_add(&all, (char *)path);
  for (words++; *words != NULL; words++) list_add(&all, *words);
  return spawn_at(pid, program, all.at, environment, node, group);
}

static int spawn_or_script(pid_t *pid, const char *path, char **words, char **environment, const char *node, pid_t *group) {
  struct stat about;
  char head[256];
  if (stat(path, &about) < 0) return errno;
  if (S_ISDIR(about.st_mode)) return EISDIR;
  if (kind_of(path, head, sizeof head) == SCRIPT) return spawn_script(pid, path, words, environment, node, group, head);
  return spawn_at(pid, path, words, environment, node, group);
}

char *path_of_program(const char *name) {
  const char *folders = variable("PATH");
  struct stat about;
  if (folders == NULL) folders = "/bin";
  for (;;) {
    size_t length = strcspn(folders, ":");
    struct text path = text_in(&scratch);
    text_add(&path, folders, length);
    if (length > 0) text_put(&path, '/');
    text_append(&path, name);
    if (stat(path.at, &about) == 0 && S_ISREG(about.st_mode)) return path.at;
    if (folders[length] == 0) return NULL;
    folders += length + 1;
  }
}

int start_program(pid_t *pid, char **words, char **environment, const char *node, pid_t *group) {
  if (strchr(words[0], '/') != NULL) return spawn_or_script(pid, words[0], words, environment, node, group);
  char *path = path_of_program(words[0]);
  return path == NULL ? ENOENT : spawn_or_script(pid, path, words, environment, node, group);
}

int start_shell(pid_t *pid, const struct node *what, const char *node, pid_t *group) {
  struct text script = text_in(&scratch), state = text_in(&scratch);
  struct list words = list_in(&scratch);
  char told[96];
  snprintf(told, sizeof told, FROM_ABOVE "%d,%d,%d,%d", shell.status, (int)shell.pid, (int)shell.background, shell.depth + 1);
  if (shell.depth >= DEPTH_MAX) return ELOOP;
  text_append(&state, "");
  print_state(&state);
  // The other shell is what the parentheses are for.
  struct node inside = *what;
  if (inside.kind == SUBSHELL) inside.kind = BRACES;
  print_node(&script, &inside);
  // What it does comes first, for who looks at processes; the state of this shell after it.
  if (memchr(script.at, '\n', script.length) != NULL) text_put(&script, '\n');
  list_add(&words, "sh");
  list_add(&words, "-c");
  list_add(&words, script.at);
  list_add(&words, told);
  list_add(&words, state.at);
  list_add(&words, (char *)shell.name);
  for (int i = 0; i < shell.argument_count; i++) list_add(&words, shell.arguments[i]);
  return spawn_at(pid, SELF, words.at, environment_with(NULL), node, group);
}

int tell_start(const char *name, int error, const char *node) {
  switch (error) {
    case ENOENT:
      if (strchr(name, '/') != NULL) complain("%s: there is no such file", name);
      else complain("%s: there is no such program in %s", name, variable("PATH") == NULL ? "/bin" : variable("PATH"));
      return 127;
    // Why is said.
    case ENOLINK:
      return 127;
    case EISDIR:
      complain("%s: is a directory", name);
      return 126;
    case EAGAIN:
      complain("%s: no more processes may run here now (EAGAIN); jobs shows those of this shell", name);
      return 126;
    case ENFILE:
      complain("%s: the programs of this virtual kernel have as many descriptors open as they may (ENFILE): end some, or vkctl vkernel set --descriptors", name);
      return 126;
    case ELOOP:
      complain("%s: shells within shells, more than %d deep", name, DEPTH_MAX);
      return 126;
    case EXDEV:
    case ENOTSUP:
      if (node != NULL) complain("on %s: files do not go to other nodes: cat FILE | on %s %s", node, node, name);
      else complain("%s: %s", name, strerror(error));
      return 126;
    case EHOSTUNREACH:
    case ENODEV:
    case ENXIO:
      if (node != NULL) complain("on %s: there is no such node: cat /proc/nodes", node);
      else complain("%s: %s", name, strerror(error));
      return 126;
    default:
      if (node != NULL) complain("on %s: %s: %s", node, name, strerror(error));
      else complain("%s: %s", name, strerror(error));
      return 126;
  }
}

/** The node of "on NODE ...", and the words after it; NULL: none is named. */
static const char *node_of(char ***words) {
  if (*words == NULL || (*words)[0] == NULL || strcmp((*words)[0], "on") != 0) return NULL;
  if ((*words)[1] == NULL || (*words)[2] == NULL) return NULL;
  const char *node = (*words)[1];
  *words += 2;
  return node;
}

/** A stage that is a program, its words expanded; false: it is for another shell. */
static bool is_program(char **words) {
  return words != NULL && words[0] != NULL && function_named(words[0]) == NULL && builtin_named(words[0]) == NULL;
}

/** Its words may change a variable, as ${a:=b} does: that is not for this shell, where it is not alone. */
static bool changes_variables(const struct node *stage) {
  for (char **word = stage->words; word != NULL && *word != NULL; word++)
    if (strchr(*word, '=') != NULL && strchr(*word, '$') != NULL) return true;
  return false;
}

/** With what is to be its streams in place. A wait status where it could not be started. */
static int start_stage(pid_t *pid, const struct node *stage, bool is_alone, pid_t *group) {
  struct mark mark = region_mark(&scratch);
  int status = 0, error;
  *pid = 0;
  bool is_on = stage->kind == SIMPLE && stage->words[0] != NULL && strcmp(stage->words[0], "on") == 0;
  bool is_ours = stage->kind == SIMPLE && (is_alone || is_on || !changes_variables(stage));
  char **words = is_ours ? expand_words(stage->words) : NULL;
  const char *node = is_on ? node_of(&words) : NULL;
  if (shell.failed) status = 1;
  else if (is_program(words)) {
    struct list assignments = list_in(&scratch);
    for (char **each = stage->assignments; *each != NULL; each++) list_add(&assignments, expand_text(*each));
    struct saved_stream *saved = NULL;
    if (shell.failed || !redirect_all(stage->redirects, &saved)) status = 1;
    else if ((error = start_program(pid, words, environment_with(assignments.at), node, group)) != 0)
      status = tell_start(words[0], error, node);
    redirect_undo(saved);
  } else {
    struct node rest = *stage;
    if (node != NULL) rest.words = stage->words + 2;
    error = start_shell(pid, &rest, node, group);
    if (error != 0) status = tell_start("sh", error, node);
  }
  shell.failed = false;
  region_release(&scratch, mark);
  return status;
}

static bool close_on_exec_pipe(int ends[2]) {
  if (pipe(ends) < 0) {
    complain("a pipe: %s", strerror(errno));
    return false;
  }
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  return true;
}

/** In the place of a stream of ours, while a stage is started. */
static void put_stream(int fd, int to, struct saved_stream **saved) {
  if (fd < 0) return;
  char digits[16];
  snprintf(digits, sizeof digits, "%d", fd);
  struct redirect redirect = { .kind = SAME_OUTPUT, .fd = to, .word = digits };
  redirect_all(&redirect, saved);
  close(fd);
}

int start_pipeline(struct node **stages, struct started *started, bool is_here, int last_output) {
  bool is_alone = is_here && stages[1] == NULL;
  int input = -1, status = 0;
  started->count = 0;
  started->group = 0;
  for (struct node **stage = stages; *stage != NULL; stage++) {
    int ends[2] = { -1, -1 };
    struct saved_stream *saved = NULL;
    if (started->count == STAGES_MAX) {
      complain("a pipeline of more than %d stages", STAGES_MAX);
      status = 126;
      break;
    }
    if (stage[1] != NULL && !close_on_exec_pipe(ends)) {
      status = 126;
      break;
    }
    put_stream(input, 0, &saved);
    put_stream(stage[1] != NULL ? ends[1] : last_output, 1, &saved);
    started->statuses[started->count] = start_stage(&started->pids[started->count], *stage, is_alone, &started->group);
    started->count++;
    redirect_undo(saved);
    input = ends[0];
  }
  if (input >= 0) close(input);
  return status;
}

int run_pipeline(struct node **stages, bool in_background, const struct node *whole) {
  struct started started;
  struct saved_stream *saved = NULL;
  if (in_background && !shell.has_jobs) {
    // Else it would take what is meant for the shell.
    int nothing = open("/dev/null", O_RDONLY);
    put_stream(nothing, 0, &saved);
  }
  int status = start_pipeline(stages, &started, !in_background, -1);
  redirect_undo(saved);
  if (started.count == 0) return status;
  struct text text = text_in(&scratch);
  print_node(&text, whole);
  struct job *job = job_add(&started, text.at);
  if (!in_background) return job_wait(job);
  shell.background = started.pids[started.count - 1];
  job_tell_started(job);
  return shell.background == 0 ? started.statuses[started.count - 1] : 0;
}

/** All that they write, without the ends of lines at its end. */
static char *read_all(int fd) {
  struct text all = text_in(&scratch);
  char piece[4096];
  for (;;) {
    ssize_t length = read(fd, piece, sizeof piece);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) break;
    for (ssize_t i = 0; i < length; i++)
      if (piece[i] != 0) text_put(&all, piece[i]);
  }
  while (all.length > 0 && all.at[all.length - 1] == '\n') all.at[--all.length] = 0;
  return all.at;
}

char *output_of(const char *text) {
  struct reader reader = reader_of_text(text, shell.name);
  struct node *node = parse_list(&reader, END);
  struct text captured = text_in(&scratch);
  char *output = "";
  int ends[2];
  if (reader.failed) {
    complain("$(%s): %s", text, reader.error);
    shell.failed = true;
  } else if (node == NULL) shell.status = 0;
  else if (capture_builtin(node, text, &captured)) {
    while (captured.length > 0 && captured.at[captured.length - 1] == '\n') captured.at[--captured.length] = 0;
    output = captured.at;
  } else if (close_on_exec_pipe(ends)) {
    struct started started;
    struct node *alone[] = { node, NULL };
    bool had_jobs = shell.has_jobs;
    // It belongs to the command that it stands in.
    shell.has_jobs = false;
    start_pipeline(node->kind == PIPELINE ? node->stages : alone, &started, false, ends[1]);
    shell.has_jobs = had_jobs;
    output = read_all(ends[0]);
    close(ends[0]);
    struct job *job = job_add(&started, text);
    shell.status = job_wait(job);
  }
  shell.substituted = true;
  region_free(&reader.region);
  return output;
}
