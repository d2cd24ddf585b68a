/* What was typed, kept in the home: ~/.sh_history. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shell.h"

#define LINES_MAX 1000
#define LINE_BYTES_MAX 4096

static char *lines[LINES_MAX];
static int count;

static void keep(const char *line) {
  if (count == LINES_MAX) {
    free(lines[0]);
    memmove(lines, lines + 1, (LINES_MAX - 1) * sizeof *lines);
    count--;
  }
  lines[count++] = strdup(line);
}

static bool path_of(char *path, size_t room) {
  const char *home = variable("HOME");
  return home != NULL && snprintf(path, room, "%s/.sh_history", home) < (int)room;
}

void history_load(void) {
  char path[1024], line[LINE_BYTES_MAX];
  FILE *file = path_of(path, sizeof path) ? fopen(path, "r") : NULL;
  if (file == NULL) return;
  int read = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = 0;
    if (*line != 0) keep(line);
    read++;
  }
  fclose(file);
  // It grows at its end, and is cut here.
  if (read <= 2 * LINES_MAX || (file = fopen(path, "w")) == NULL) return;
  for (int i = 0; i < count; i++) fprintf(file, "%s\n", lines[i]);
  fclose(file);
}

void history_add(const char *line) {
  char path[1024];
  if (line[strspn(line, " \t")] == 0 || *line == ' ' || strlen(line) >= LINE_BYTES_MAX) return;
  if (count > 0 && strcmp(lines[count - 1], line) == 0) return;
  keep(line);
  FILE *file = path_of(path, sizeof path) ? fopen(path, "a") : NULL;
  if (file == NULL) return;
  fprintf(file, "%s\n", line);
  fclose(file);
}

int history_count(void) { return count; }
const char *history_at(int index) { return index >= 0 && index < count ? lines[index] : NULL; }

int builtin_history(char **words) {
  // In a pipe it is another shell that says it.
  if (count == 0) history_load();
  int from = words[1] == NULL ? 0 : count - atoi(words[1]);
  for (int i = from < 0 ? 0 : from; i < count; i++) {
    char number[16];
    snprintf(number, sizeof number, "%5d  ", i + 1);
    say(number);
    say(lines[i]);
    say("\n");
  }
  return 0;
}
