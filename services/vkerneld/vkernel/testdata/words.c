// Prints which standard streams are a terminal, then its arguments and its environment in hexadecimal, one a line.
#include <stdio.h>
#include <unistd.h>

extern char **environ;

static void show(char **words) {
  for (; words && *words; words++) {
    for (const char *at = *words; *at; at++) printf("%02x", (unsigned char)*at);
    printf("\n");
  }
}

int main(int argc, char **argv) {
  (void)argc;
  printf("isatty %d %d %d\n", isatty(0), isatty(1), isatty(2));
  show(argv + 1);
  show(environ);
  return 0;
}
