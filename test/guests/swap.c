// swap OUT SECONDS: has a folder at /a, where a directory d is; makes it a link to OUT and a directory again, and so on.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  if (symlink(argv[1], "/a/link")) perror("symlink");
  time_t until = time(NULL) + atoi(argv[2]);
  long rounds = 0;
  puts("swaps");
  fflush(stdout);
  for (; time(NULL) < until; rounds++) {
    if (rename("/a/d", "/a/real") || rename("/a/link", "/a/d")) return perror("rename"), 1;
    if (rename("/a/d", "/a/link") || rename("/a/real", "/a/d")) return perror("rename"), 1;
  }
  printf("%ld rounds\n", rounds);
  return 0;
}
