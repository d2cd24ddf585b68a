/* Commands of the shell itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pipeline.h"
#include "traps.h"

static struct text *captured;
static bool write_failed;

void say(const char *text) {
  if (captured != NULL) return text_append(captured, text);
  for (size_t at = 0, length = strlen(text); at < length;) {
    ssize_t written = write(1, text + at, length - at);
    if (written <= 0) {
      if (written < 0 && errno == EINTR) continue;
      write_failed = true;
      return;
    }
    at += (size_t)written;
  }
}

static int usage(const char *text) {
  complain("usage: %s", text);
  return 2;
}

static int do_nothing(char **words) {
  (void)words;
  return 0;
}

static int fail(char **words) {
  (void)words;
  return 1;
}

static bool echo_escape(struct text *out, char c) {
  static const char from[] = "abefnrtv\\", to[] = "\a\b\033\f\n\r\t\v\\";
  const char *found = strchr(from, c);
  if (c == 'c') return false;
  if (found == NULL || c == 0) {
    text_put(out, '\\');
    if (c != 0) text_put(out, c);
  } else text_put(out, to[found - from]);
  return true;
}

static int echo(char **words) {
  bool ends = true, escapes = false;
  struct text out = text_in(&scratch);
  for (words++; *words != NULL && **words == '-' && (*words)[1] != 0 && strspn(*words + 1, "neE") == strlen(*words + 1); words++) {
    if (strchr(*words, 'n') != NULL) ends = false;
    if (strchr(*words, 'e') != NULL) escapes = true;
  }
  for (bool first = true; *words != NULL; words++, first = false) {
    if (!first) text_put(&out, ' ');
    for (const char *at = *words; *at != 0; at++) {
      if (*at != '\\' || !escapes) text_put(&out, *at);
      else if (!echo_escape(&out, at[1])) return say(out.at), 0;
      else if (at[1] != 0) at++;
    }
  }
  if (ends) text_put(&out, '\n');
  say(out.at);
  return 0;
}

static int print_folder(char **words) {
  char here[4096];
  (void)words;
  if (getcwd(here, sizeof here) == NULL) return complain("pwd: %s", strerror(errno)), 1;
  say(here);
  say("\n");
  return 0;
}

/** Without . and .. and doubled slashes: there is no other way up. */
static char *clean_path(const char *path) {
  struct text out = text_in(&scratch);
  while (*path != 0) {
    path += strspn(path, "/");
    size_t length = strcspn(path, "/");
    if (length == 2 && strncmp(path, "..", 2) == 0) {
      while (out.length > 0 && out.at[--out.length] != '/') {}
      out.at[out.length] = 0;
    } else if (length > 0 && !(length == 1 && *path == '.')) {
      text_put(&out, '/');
      text_add(&out, path, length);
    }
    path += length;
  }
  if (out.length == 0) text_put(&out, '/');
  return out.at;
}

static int change_folder(char **words) {
  const char *to = words[1];
  if (to != NULL && strcmp(to, "--") == 0) to = words[2];
  if (to == NULL) to = variable("HOME");
  if (to == NULL) return complain("cd: HOME is not set: cd DIRECTORY"), 1;
  bool tells = strcmp(to, "-") == 0;
  if (tells && (to = variable("OLDPWD")) == NULL) return complain("cd: there is no directory before this one"), 1;
  char here[4096] = "/";
  (void)getcwd(here, sizeof here);
  struct text path = text_in(&scratch);
  if (*to != '/') {
    text_append(&path, here);
    text_put(&path, '/');
  }
  text_append(&path, to);
  char *wanted = clean_path(path.at);
  struct stat about;
  if (stat(wanted, &about) == 0 && !S_ISDIR(about.st_mode)) return complain("cd: %s: is no directory", to), 1;
  if (chdir(wanted) < 0) return complain("cd: %s: %s", to, errno == ENOENT ? "there is no such directory" : strerror(errno)), 1;
  export_variable("OLDPWD", here);
  export_variable("PWD", wanted);
  if (tells) {
    say(wanted);
    say("\n");
  }
  return 0;
}

/** export and readonly, with names or NAME=value. */
static int declare(char **words, bool exports) {
  if (words[1] != NULL && strcmp(words[1], "-p") == 0) words++;
  if (words[1] == NULL) {
    struct text out = text_in(&scratch);
    print_variables(&out, exports, !exports, exports ? "export " : "readonly ");
    say(out.at);
    return 0;
  }
  for (words++; *words != NULL; words++) {
    size_t length = strcspn(*words, "=");
    if (!is_name(*words, length)) return complain("%s: is no name of a variable", *words), 1;
    char *name = region_text(&scratch, *words, length);
    const char *value = (*words)[length] == '=' ? *words + length + 1 : NULL;
    if (exports) export_variable(name, value);
    else {
      if (value != NULL) set_variable(name, value);
      mark_readonly(name);
    }
  }
  return 0;
}

static int export_them(char **words) { return declare(words, true); }
static int make_readonly(char **words) { return declare(words, false); }

static int make_local(char **words) {
  if (shell.calls == 0) return complain("local: stands in functions only"), 1;
  for (words++; *words != NULL; words++) {
    size_t length = strcspn(*words, "=");
    if (!is_name(*words, length)) return complain("%s: is no name of a variable", *words), 1;
    char *name = region_text(&scratch, *words, length);
    save_local(name);
    if ((*words)[length] == '=') set_variable(name, *words + length + 1);
  }
  return 0;
}

static int unset(char **words) {
  bool of_functions = words[1] != NULL && strcmp(words[1], "-f") == 0;
  if (words[1] != NULL && (of_functions || strcmp(words[1], "-v") == 0)) words++;
  for (words++; *words != NULL; words++) {
    if (of_functions) remove_function(*words);
    else unset_variable(*words);
  }
  return 0;
}

static void set_arguments(char **words) {
  int count = 0;
  while (words[count] != NULL) count++;
  char **copy = calloc((size_t)count + 1, sizeof *copy);
  for (int i = 0; i < count; i++) copy[i] = strdup(words[i]);
  shell.arguments = copy;
  shell.argument_count = count;
}

static int set_options(char **words) {
  if (words[1] == NULL) {
    struct text out = text_in(&scratch);
    print_variables(&out, false, false, "");
    say(out.at);
    return 0;
  }
  for (words++; *words != NULL && (**words == '-' || **words == '+') && (*words)[1] != 0; words++) {
    bool on = **words == '-';
    if (strcmp(*words, "--") == 0) {
      set_arguments(words + 1);
      return 0;
    }
    for (const char *option = *words + 1; *option != 0; option++) {
      if (*option == 'e') shell.errexit = on;
      else if (*option == 'f') shell.noglob = on;
      else if (*option == 'n') shell.noexec = on && !shell.interactive;
      else if (*option == 'u') shell.nounset = on;
      else if (*option == 'x') shell.xtrace = on;
      else return complain("set: -%c: is no option: there are -e, -f, -n, -u, -x", *option), 2;
    }
  }
  if (*words != NULL) set_arguments(words);
  return 0;
}

static int shift(char **words) {
  int count = words[1] == NULL ? 1 : atoi(words[1]);
  if (count < 0 || count > shell.argument_count) return complain("shift: there are %d arguments", shell.argument_count), 1;
  shell.arguments += count;
  shell.argument_count -= count;
  return 0;
}

static int evaluate(char **words) {
  struct text text = text_in(&scratch);
  for (words++; *words != NULL; words++) {
    text_append(&text, *words);
    if (words[1] != NULL) text_put(&text, ' ');
  }
  if (strspn(text.at, " \t\n") == text.length) return 0;
  shell.status = 0;
  return run_text(text.at, shell.name);
}

char *read_file(const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return NULL;
  struct text all = text_in(&scratch);
  char piece[4096];
  for (ssize_t length; (length = read(fd, piece, sizeof piece)) > 0;) text_add(&all, piece, (size_t)length);
  int error = errno;
  close(fd);
  errno = error;
  return all.at;
}

static int source(char **words) {
  if (words[1] == NULL) return usage(". FILE");
  if (shell.calls >= 100) return complain(".: files within files, more than 100 deep"), 2;
  char *text = read_file(words[1]);
  if (text == NULL) return complain(".: %s: %s", words[1], strerror(errno)), 1;
  shell.calls++;
  shell.status = 0;
  int status = run_text(text, words[1]);
  if (shell.leaving == RETURNS) {
    shell.leaving = STAYS;
    status = shell.status;
  }
  shell.calls--;
  return status;
}

static int execute(char **words) {
  if (words[1] == NULL) return 0;
  pid_t pid;
  int error = start_program(&pid, words + 1, environment_with(NULL), NULL, NULL);
  if (error == 0) {
    struct started started = { .pids = { pid }, .count = 1 };
    shell.status = job_wait(job_add(&started, words[1]));
  } else shell.status = tell_start(words[1], error, NULL);
  shell.leaving = EXITS;
  shell.has_status = true;
  return shell.status;
}

static int leave(char **words, enum leaving how) {
  if (words[1] != NULL) {
    char *end;
    long status = strtol(words[1], &end, 10);
    if (*end != 0 || *words[1] == 0) {
      complain("%s: %s: is no number", words[0], words[1]);
      status = 2;
    }
    shell.status = (int)(status & 255);
  }
  shell.leaving = how;
  if (how == EXITS) shell.has_status = true;
  return shell.status;
}

static int leave_shell(char **words) {
  static bool was_told;
  if (shell.interactive && has_stopped_jobs() && !was_told) {
    was_told = true;
    return complain("jobs are stopped: fg goes on with one, exit again ends them"), 1;
  }
  return leave(words, EXITS);
}

static int leave_function(char **words) {
  if (shell.calls == 0) return leave(words, EXITS);
  return leave(words, RETURNS);
}

static int leave_loop(char **words) {
  int levels = words[1] == NULL ? 1 : atoi(words[1]);
  if (shell.loops == 0) return 0;
  if (levels < 1) return complain("%s: %s: is no number from 1 on", words[0], words[1]), 1;
  shell.levels = levels > shell.loops ? shell.loops : levels;
  shell.leaving = strcmp(words[0], "break") == 0 ? BREAKS : CONTINUES;
  return 0;
}

static int describe(const char *name, bool in_words) {
  char *path = strchr(name, '/') != NULL && access(name, F_OK) == 0 ? (char *)name : path_of_program(name);
  const char *what = function_named(name) != NULL ? " is a function of this shell\n" : builtin_named(name) != NULL ? " is a command of the shell itself\n" : NULL;
  if (what == NULL && path == NULL) return 127;
  say(what != NULL || in_words ? name : path);
  if (in_words && what == NULL) {
    say(" is ");
    say(path);
  }
  say(in_words && what != NULL ? what : "\n");
  return 0;
}

static int type(char **words) {
  int status = 0;
  for (words++; *words != NULL; words++) {
    if (describe(*words, true) == 0) continue;
    complain("type: %s: there is no such command", *words);
    status = 127;
  }
  return status;
}

static int command(char **words) {
  if (words[1] == NULL) return 0;
  if (strcmp(words[1], "-v") == 0 || strcmp(words[1], "-V") == 0) {
    int status = 0;
    for (char **word = words + 2; *word != NULL; word++)
      if (describe(*word, words[1][1] == 'V') != 0) status = 127;
    return status;
  }
  builtin *run = builtin_named(words[1]);
  if (run != NULL) return run(words + 1);
  pid_t pid, group = 0;
  int error = start_program(&pid, words + 1, environment_with(NULL), NULL, &group);
  if (error != 0) return tell_start(words[1], error, NULL);
  struct started started = { .pids = { pid }, .count = 1, .group = group };
  return job_wait(job_add(&started, words[1]));
}

int builtin_on(char **words) {
  (void)words;
  return usage("on NODE COMMAND: runs it on that node, any: where the fewest programs run; cat /proc/nodes lists them");
}

static int mask(char **words) {
  if (words[1] == NULL) say("0022\n");
  return 0;
}

static int help(char **words) {
  (void)words;
  say("Commands of the shell itself; the others are programs (ls /bin):\n\n");
  int column = 0;
  for (const char *const *name = builtin_names(); *name != NULL; name++) {
    char cell[16];
    snprintf(cell, sizeof cell, "%-10s%s", *name, ++column % 7 == 0 ? "\n" : "");
    say(cell);
  }
  say("\n\non NODE COMMAND runs it on another node: ls | on node2 sort\nCOMMAND --help says what a program does; exit ends the login\n");
  return 0;
}

static const struct entry {
  const char *name;
  builtin *run;
  bool special;
} entries[] = {
  { ".", source, true },          { ":", do_nothing, true },     { "[", builtin_test, false },   { "bg", builtin_bg, false },
  { "break", leave_loop, true },  { "cd", change_folder, false }, { "command", command, false }, { "continue", leave_loop, true },
  { "echo", echo, false },        { "eval", evaluate, true },    { "exec", execute, true },      { "exit", leave_shell, true },
  { "export", export_them, true }, { "false", fail, false },     { "fg", builtin_fg, false },    { "getopts", builtin_getopts, false },
  { "help", help, false },        { "history", builtin_history, false }, { "id", builtin_id, false },
  { "jobs", builtin_jobs, false }, { "kill", builtin_kill, false },
  { "local", make_local, false }, { "on", builtin_on, false },   { "pwd", print_folder, false }, { "read", builtin_read, false },
  { "readonly", make_readonly, true }, { "return", leave_function, true }, { "set", set_options, true }, { "shift", shift, true },
  { "test", builtin_test, false }, { "trap", builtin_trap, true }, { "true", do_nothing, false }, { "type", type, false },
  { "ulimit", builtin_ulimit, false }, { "umask", mask, false }, { "unset", unset, true },      { "wait", builtin_wait, false },
  { "whoami", builtin_whoami, false },
};
#define ENTRIES (sizeof entries / sizeof *entries)

static const struct entry *entry_named(const char *name) {
  for (size_t i = 0; i < ENTRIES; i++)
    if (strcmp(entries[i].name, name) == 0) return &entries[i];
  return NULL;
}

static builtin *running;

/** What was not written is said, as a program would. */
static int checked(char **words) {
  write_failed = false;
  int status = running(words);
  if (!write_failed) return status;
  write_failed = false;
  complain("%s: %s", words[0], strerror(errno));
  return 1;
}

builtin *builtin_named(const char *name) {
  const struct entry *found = entry_named(name);
  if (found == NULL) return NULL;
  if (found->run != echo && found->run != print_folder) return found->run;
  running = found->run;
  return checked;
}

bool is_special(const char *name) {
  const struct entry *found = entry_named(name);
  return found != NULL && found->special;
}

const char *const *builtin_names(void) {
  static const char *names[ENTRIES + 1];
  for (size_t i = 0; i < ENTRIES; i++) names[i] = entries[i].name;
  return names;
}

bool capture_builtin(const struct node *node, const char *text, struct text *into) {
  static const char *const names[] = { "echo", "pwd", "type", "jobs", NULL };
  if (node->kind != SIMPLE || node->words[0] == NULL || node->assignments[0] != NULL || node->redirects != NULL) return false;
  // What changes this shell is for another one.
  if (strchr(text, '=') != NULL) return false;
  bool is_one = false;
  for (const char *const *name = names; *name != NULL; name++) is_one = is_one || strcmp(*name, node->words[0]) == 0;
  if (strcmp(node->words[0], "command") == 0) is_one = node->words[1] != NULL && strcmp(node->words[1], "-v") == 0;
  if (!is_one || function_named(node->words[0]) != NULL) return false;
  struct text *before = captured;
  char **words = expand_words(node->words);
  if (shell.failed) return true;
  captured = into;
  shell.status = builtin_named(words[0])(words);
  captured = before;
  return true;
}
