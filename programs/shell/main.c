/* sh: a shell of guests. sh [-eux] [-l] [-c COMMANDS | FILE] [NAME] [ARGUMENTS]. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "pipeline.h"
#include "traps.h"

const _Bool odonata_has_shared_files = 0;
extern char **environ;

struct shell shell;
char *read_file(const char *path);

void complain(const char *form, ...) {
  char text[1024];
  va_list with;
  va_start(with, form);
  int length = vsnprintf(text, sizeof text - 1, form, with);
  va_end(with);
  if (length >= (int)sizeof text - 1) length = sizeof text - 2;
  text[length++] = '\n';
  if (shell.interactive || shell.line <= 1) dprintf(2, "sh: %.*s", length, text);
  else dprintf(2, "%s: %d: %.*s", shell.name, shell.line, length, text);
}

/** The text of a reader that grows by lines; what was read of it is dropped between commands. */
static struct {
  char *bytes;
  size_t room;
} input;

static void append(struct reader *reader, const char *line, size_t length) {
  if (reader->length + length + 1 > input.room) {
    input.room = (reader->length + length + 1) * 2;
    input.bytes = realloc(input.bytes, input.room);
  }
  memcpy(input.bytes + reader->length, line, length);
  reader->length += length;
  input.bytes[reader->length] = 0;
  reader->text = input.bytes;
}

/** Between commands what is behind is dropped. */
static void drop_read(struct reader *reader, bool continues) {
  if (continues || reader->at < reader->length || reader->length < 65536) return;
  reader->at = reader->length = 0;
  reader->known.is_there = false;
}

/** Of standard input no byte more than the line: what follows may be for a program. */
static bool more_plain(struct reader *reader, bool continues) {
  drop_read(reader, continues);
  bool any = false;
  for (char c; read(0, &c, 1) == 1;) {
    if (c != 0) append(reader, &c, 1);
    any = true;
    if (c == '\n') break;
  }
  return any;
}

static bool more_edited(struct reader *reader, bool continues) {
  drop_read(reader, continues);
  for (;;) {
    if (!continues) jobs_look(true);
    const char *form = variable(continues ? "PS2" : "PS1");
    struct mark mark = region_mark(&scratch);
    char *prompt = expand_here(form == NULL ? "" : form);
    shell.failed = false;
    char *line = edit_line(prompt);
    region_release(&scratch, mark);
    if (line == NULL && errno == EINTR) {
      shell.interrupted = 0;
      shell.status = 130;
      if (!continues) continue;
      // What was begun is given up.
      reader_fail(reader, "given up");
      return false;
    }
    if (line == NULL) return false;
    history_add(line);
    append(reader, line, strlen(line));
    append(reader, "\n", 1);
    free(line);
    return true;
  }
}

static void set_arguments(char **words) {
  shell.arguments = words;
  for (shell.argument_count = 0; words[shell.argument_count] != NULL;) shell.argument_count++;
}

/** Of a shell that another one started: $?, $$, $!, and how many are above it; where its state ends. */
static bool from_above(const char *text) {
  int status, pid, background, depth;
  if (strncmp(text, FROM_ABOVE, strlen(FROM_ABOVE)) != 0) return false;
  if (sscanf(text + strlen(FROM_ABOVE), "%d,%d,%d,%d", &status, &pid, &background, &depth) != 4) return false;
  shell.status = status;
  shell.pid = pid;
  shell.background = background;
  shell.depth = depth;
  return true;
}

/** @param state of the shell that started this one; NULL: nobody did */
static int run_command(const char *text, const char *state) {
  if (state != NULL) {
    int status = shell.status;
    run_text(state, shell.name);
    shell.status = status;
    shell.line = 0;
  }
  return run_text(text, shell.name);
}

static void run_if_there(const char *folder, const char *name) {
  struct text path = text_in(&scratch);
  text_append(&path, folder);
  text_append(&path, name);
  char *text = read_file(path.at);
  if (text != NULL) run_text(text, name);
  shell.leaving = STAYS;
}

/** USER@NODE:FOLDER$, unless somebody says another one. */
static void set_prompt(void) {
  char *status = read_file("/proc/self/status"), *node = status == NULL ? NULL : strstr(status, "\nNode:\t");
  struct text prompt = text_in(&scratch);
  if (getenv("PS1") != NULL) return;
  text_append(&prompt, "${USER-}@");
  if (node != NULL) text_add(&prompt, node + 7, strcspn(node + 7, "\n"));
  text_append(&prompt, ":${PWD}\\$ ");
  set_variable("PS1", prompt.at);
}

static void on_hangup(int signal) {
  (void)signal;
  jobs_hang_up();
  _exit(129);
}

static void begin_interactive(void) {
  shell.interactive = true;
  set_prompt();
  signal(SIGHUP, on_hangup);
  shell.has_jobs = true;
  shell.has_terminal = tcgetpgrp(0) >= 0;
  catch_signals();
  if (shell.has_terminal) {
    setpgid(0, 0);
    tcsetpgrp(0, getpgrp());
  }
  history_load();
}

static int run_input(void) {
  struct reader reader = reader_of_text("", shell.name);
  reader.length = 0;
  reader.more = shell.interactive ? more_edited : more_plain;
  return run_reader(&reader);
}

int main(int argc, char **argv) {
  const char *command = NULL;
  bool takes_command = false, is_asked = false;
  const char *state = NULL;
  (void)argc;
  shell.name = argv[0] == NULL ? "sh" : argv[0];
  shell.pid = getpid();
  variables_from(environ);
  shell.is_login = *shell.name == '-';
  char **word = argv[0] == NULL ? argv : argv + 1;
  for (; *word != NULL && (**word == '-' || **word == '+') && (*word)[1] != 0; word++) {
    if (strcmp(*word, "--") == 0) {
      word++;
      break;
    }
    for (const char *option = *word + 1; *option != 0; option++) {
      bool on = **word == '-';
      if (*option == 'c') takes_command = true;
      else if (*option == 'e') shell.errexit = on;
      else if (*option == 'u') shell.nounset = on;
      else if (*option == 'x') shell.xtrace = on;
      else if (*option == 'f') shell.noglob = on;
      else if (*option == 'n') shell.noexec = on;
      else if (*option == 'i') is_asked = true;
      else if (*option == 'l') shell.is_login = true;
      else if (*option != 's') {
        dprintf(2, "sh: -%c: is no option: sh [-efilnux] [-c COMMANDS | FILE] [ARGUMENT...]\n", *option);
        return 2;
      }
    }
  }
  if (takes_command) {
    command = *word;
    if (command == NULL) return dprintf(2, "sh: -c: the commands are missing\n"), 2;
    word++;
    if (word[0] != NULL && word[1] != NULL && from_above(word[0])) {
      state = word[1];
      word += 2;
    }
    if (*word != NULL) shell.name = *word++;
  }
  const char *file = command == NULL && *word != NULL ? *word++ : NULL;
  if (file != NULL) shell.name = file;
  set_arguments(word);
  if (shell.is_login) {
    run_if_there("/etc", "/profile");
    run_if_there(variable("HOME") == NULL ? "" : variable("HOME"), "/.profile");
  }
  if (command != NULL) run_command(command, state);
  else if (file != NULL) {
    char *text = read_file(file);
    if (text == NULL) {
      dprintf(2, "sh: %s: %s\n", file, strerror(errno));
      return errno == ENOENT ? 127 : 126;
    }
    run_text(text, file);
  } else {
    if (is_asked || (isatty(0) && isatty(2))) begin_interactive();
    run_input();
  }
  run_exit_trap();
  if (shell.interactive) jobs_hang_up();
  return shell.status & 255;
}
