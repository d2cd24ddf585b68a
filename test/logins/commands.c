/*
 * Command lines of a program, for /bin/sh.
 *
 *   commands   what system and popen come to
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

int main(void) {
  char line[64] = "";
  printf("shell %d\n", system(NULL));
  fflush(stdout);
  printf("code %d\n", WEXITSTATUS(system("echo b a | tr ' ' '\\n' | sort; exit 3")));
  int killed = system("kill -TERM $$");
  printf("signal %d\n", WIFSIGNALED(killed) ? WTERMSIG(killed) : 0);
  FILE *from = popen("echo one; echo two; exit 5", "r");
  while (fgets(line, sizeof line, from) != NULL) printf("read %s", line);
  printf("code %d\n", WEXITSTATUS(pclose(from)));
  fflush(stdout);
  FILE *to = popen("tr a-z A-Z", "w");
  fputs("written\n", to);
  printf("code %d\n", WEXITSTATUS(pclose(to)));
  FILE *none = popen("true", "rw");
  printf("%s, %s\n", none == NULL ? strerror(errno) : "?", pclose(stdin) == -1 ? strerror(errno) : "?");
  return 0;
}
