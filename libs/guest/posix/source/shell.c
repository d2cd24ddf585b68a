/* system and popen: a command line for /bin/sh, which logins bring to a node (docs/logins.md). Where it is not there: ENOENT, and system(NULL) is 0. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "errors.h"

#define SHELL "/bin/sh"
enum { POPENED_MAX = 64 };

extern char **environ;

/** Streams of popen, each with its child; 0: free. */
static struct {
  FILE *stream;
  pid_t child;
} popened[POPENED_MAX];

static int start(pid_t *child, const char *command, const posix_spawn_file_actions_t *actions) {
  char *args[] = { "sh", "-c", (char *)command, NULL };
  return posix_spawn(child, SHELL, actions, NULL, args, environ);
}

/** Its status, however often a handler of a signal runs meanwhile. */
static int status_of(pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return status;
}

int system(const char *command) {
  struct stat about;
  if (command == NULL) return stat(SHELL, &about) == 0;
  // POSIX: what is typed to end the command does not end who waits for it.
  void (*on_interrupt)(int) = signal(SIGINT, SIG_IGN), (*on_quit)(int) = signal(SIGQUIT, SIG_IGN);
  pid_t child;
  int error = start(&child, command, NULL);
  int status = error == 0 ? status_of(child) : fail(error);
  int kept = errno;
  signal(SIGINT, on_interrupt);
  signal(SIGQUIT, on_quit);
  errno = kept;
  return status;
}

FILE *popen(const char *command, const char *mode) {
  bool reads = mode[0] == 'r', closes = strchr(mode, 'e') != NULL;
  if ((!reads && mode[0] != 'w') || mode[1 + closes] != 0) {
    errno = EINVAL;
    return NULL;
  }
  int place = 0, ends[2];
  while (place < POPENED_MAX && popened[place].stream != NULL) place++;
  if (place == POPENED_MAX) {
    errno = EMFILE;
    return NULL;
  }
  if (pipe(ends) < 0) return NULL;
  int ours = ends[reads ? 0 : 1], theirs = ends[reads ? 1 : 0];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // POSIX: children of popen have no streams of others before them.
  for (int i = 0; i < POPENED_MAX; i++)
    if (popened[i].stream != NULL) posix_spawn_file_actions_addclose(&actions, fileno(popened[i].stream));
  posix_spawn_file_actions_adddup2(&actions, theirs, reads ? 1 : 0);
  posix_spawn_file_actions_addclose(&actions, theirs);
  posix_spawn_file_actions_addclose(&actions, ours);
  int error = start(&popened[place].child, command, &actions);
  posix_spawn_file_actions_destroy(&actions);
  close(theirs);
  FILE *stream = error == 0 ? fdopen(ours, reads ? "r" : "w") : NULL;
  if (stream == NULL) {
    close(ours);
    if (error != 0) errno = error;
    return NULL;
  }
  if (closes) fcntl(ours, F_SETFD, FD_CLOEXEC);
  popened[place].stream = stream;
  return stream;
}

int pclose(FILE *stream) {
  for (int i = 0; i < POPENED_MAX; i++) {
    if (stream == NULL || popened[i].stream != stream) continue;
    popened[i].stream = NULL;
    fclose(stream);
    return status_of(popened[i].child);
  }
  return fail(ECHILD);
}
