/* Reads a line at a terminal. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shell.h"

char *edit_line(const char *prompt) {
  struct text line = text_in(&scratch);
  (void)!write(2, prompt, strlen(prompt));
  for (char c;;) {
    ssize_t length = read(0, &c, 1);
    if (length < 0) return NULL;
    if (length == 0) {
      errno = 0;
      return line.length == 0 ? NULL : strdup(line.at);
    }
    if (c == '\n') return strdup(line.at);
    if (c != 0) text_put(&line, c);
  }
}
