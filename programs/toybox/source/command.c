/* Other programs, in the place of fork and exec: spawned, and waited for. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int odonata_spawn_command(pid_t *pid, char **args, const posix_spawn_file_actions_t *actions) {
  char here[4096];
  if (getcwd(here, sizeof here) != NULL) setenv("PWD", here, 1);
  return posix_spawnp(pid, args[0], actions, NULL, args, environ);
}

/** What was to take our place is a child whose end is ours; where it cannot be spawned, all goes on as after exec. */
int execve(const char *path, char *const *args, char *const *env) {
  pid_t child;
  int status;
  fflush(stdout);
  int error = posix_spawn(&child, path, NULL, NULL, args, env);
  if (error != 0) {
    errno = error;
    return -1;
  }
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) _exit(127);
  if (WIFSIGNALED(status)) {
    signal(WTERMSIG(status), SIG_DFL);
    kill(getpid(), WTERMSIG(status));
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int execv(const char *path, char *const *args) { return execve(path, args, environ); }

int execvp(const char *name, char *const *args) {
  char path[4096];
  if (strchr(name, '/') != NULL) return execv(name, args);
  const char *folders = getenv("PATH");
  if (folders == NULL) folders = "/bin";
  errno = ENOENT;
  for (const char *at = folders;; at++) {
    size_t length = strcspn(at, ":");
    snprintf(path, sizeof path, "%.*s%s%s", (int)length, at, length > 0 ? "/" : "", name);
    execv(path, args);
    if (errno != ENOENT && errno != ENOTDIR) return -1;
    at += length;
    if (*at == 0) return -1;
  }
}
