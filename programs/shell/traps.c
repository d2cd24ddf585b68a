/* Signals: commands for them by trap, and what an interactive shell lets go by. They run between commands. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "shell.h"
#include "traps.h"

#define SIGNALS 32

static char *commands[SIGNALS];
static volatile sig_atomic_t came[SIGNALS];
static bool running;

static void on_signal(int signal) {
  came[signal] = 1;
  if (signal == SIGINT) shell.interrupted = 1;
}

void catch_signals(void) {
  signal(SIGINT, on_signal);
  signal(SIGQUIT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  if (!shell.has_jobs) return;
  signal(SIGTSTP, SIG_IGN);
  signal(SIGTTIN, SIG_IGN);
  signal(SIGTTOU, SIG_IGN);
}

static void run_one(int number) {
  int status = shell.status;
  enum leaving leaving = shell.leaving;
  shell.leaving = STAYS;
  running = true;
  char *command = strdup(commands[number]);
  run_text(command, shell.name);
  free(command);
  running = false;
  if (shell.leaving != EXITS) {
    shell.leaving = leaving;
    shell.status = status;
  }
}

void run_traps(void) {
  if (running) return;
  for (int i = 1; i < SIGNALS; i++) {
    if (!came[i] || commands[i] == NULL) continue;
    came[i] = 0;
    if (i == SIGINT) shell.interrupted = 0;
    run_one(i);
  }
}

void run_exit_trap(void) {
  if (commands[0] == NULL || *commands[0] == 0) return;
  char *command = commands[0];
  commands[0] = NULL;
  int status = shell.status;
  shell.leaving = STAYS;
  run_text(command, shell.name);
  if (shell.leaving != EXITS) shell.status = status;
}

static void set(int number, const char *command) {
  free(commands[number]);
  commands[number] = command == NULL ? NULL : strdup(command);
  came[number] = 0;
  if (number == 0) return;
  if (command == NULL) signal(number, SIG_DFL);
  else signal(number, *command == 0 ? SIG_IGN : on_signal);
  if (command == NULL && shell.interactive) catch_signals();
}

int builtin_trap(char **words) {
  if (words[1] == NULL) {
    struct text text = text_in(&scratch);
    for (int i = 0; i < SIGNALS; i++) {
      if (commands[i] == NULL) continue;
      text_append(&text, "trap -- ");
      print_quoted(&text, commands[i]);
      text_put(&text, ' ');
      text_append(&text, i == 0 ? "EXIT" : strsignal(i));
      text_put(&text, '\n');
    }
    say(text.at);
    return 0;
  }
  if (strcmp(words[1], "--") == 0) words++;
  const char *command = words[1];
  char **names = words + 2;
  if (command != NULL && *names == NULL) {
    names = words + 1;
    command = NULL;
  } else if (command != NULL && strcmp(command, "-") == 0) command = NULL;
  for (; *names != NULL; names++) {
    int number = strcmp(*names, "EXIT") == 0 ? 0 : signal_by_name(*names);
    if (number < 0) {
      complain("trap: %s: no such signal: kill -l lists them", *names);
      return 1;
    }
    set(number, command);
  }
  return 0;
}
