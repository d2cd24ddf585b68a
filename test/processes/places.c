/*
 * Children where nobody names a node.
 *
 *   places apart N [DATASPACE]   children that sleep, each where neither this process nor another child runs; says where, or why not
 *   places near DATASPACE        a child where its pages are; says where, or why not
 *   places sleep
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static pid_t start(int flags, const char *near) {
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  posix_spawnattr_setflags(&how, (short)flags);
  if (near != NULL) posix_spawnattr_setnear_np(&how, near);
  char *args[] = { "places", "sleep", NULL };
  pid_t pid = 0;
  int error = posix_spawn(&pid, "/programs/places.wasm", NULL, &how, args, environ);
  posix_spawnattr_destroy(&how);
  if (error == 0) printf("node%d\n", pid / 100000);
  else printf("%s\n", strerror(error));
  return error == 0 ? pid : -1;
}

int main(int argc, char **argv) {
  const char *part = argc > 1 ? argv[1] : "", *word = argc > 2 ? argv[2] : "";
  if (strcmp(part, "sleep") == 0) {
    for (;;) sleep(1000);
  }
  if (strcmp(part, "apart") == 0) {
    pid_t children[16];
    int count = atoi(word);
    for (int i = 0; i < count && i < 16; i++) children[i] = start(POSIX_SPAWN_APART_NP, argc > 3 ? argv[3] : NULL);
    for (int i = 0; i < count && i < 16; i++)
      if (children[i] > 0 && kill(children[i], SIGKILL) == 0) waitpid(children[i], NULL, 0);
    return 0;
  }
  if (strcmp(part, "near") == 0) {
    pid_t child = start(0, word);
    if (child > 0 && kill(child, SIGKILL) == 0) waitpid(child, NULL, 0);
    return 0;
  }
  return 64;
}
