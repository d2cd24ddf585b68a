/*
 * terminal: prints `isatty` and a 0 or 1 for each standard stream, asks for a name without a line's end or a flush, and
 * greets whoever answers.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  char name[80];
  printf("isatty %d %d %d\n", isatty(0), isatty(1), isatty(2));
  printf("name? ");
  if (fgets(name, sizeof name, stdin) == NULL) return 1;
  name[strcspn(name, "\r\n")] = 0;
  printf("hello, %s\n", name);
  return 0;
}
