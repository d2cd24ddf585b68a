/*
 * A small command line for SQLite's library:
 *
 *   sqlite DATABASE [SQL...]     runs each SQL text, or stdin when there is none
 *
 * Prints each row as columns with '|' between them.  An error is one line on stderr, and exit code 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"

static int print_row(void *context, int columns, char **values, char **names) {
  (void)context;
  (void)names;
  for (int i = 0; i < columns; i++) printf("%s%s", i == 0 ? "" : "|", values[i] == NULL ? "NULL" : values[i]);
  putchar('\n');
  return 0;
}

static int run(sqlite3 *database, const char *sql) {
  char *message = NULL;
  if (sqlite3_exec(database, sql, print_row, NULL, &message) == SQLITE_OK) return 0;
  fflush(stdout);
  fprintf(stderr, "sqlite: %s\n", message == NULL ? sqlite3_errmsg(database) : message);
  sqlite3_free(message);
  return 1;
}

static char *read_stdin(void) {
  size_t used = 0, size = 65536;
  char *text = malloc(size);
  for (size_t got; text != NULL && (got = fread(text + used, 1, size - used - 1, stdin)) > 0;) {
    used += got;
    if (size - used < 2) text = realloc(text, size *= 2);
  }
  if (text != NULL) text[used] = 0;
  return text;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: sqlite DATABASE [SQL...]\n");
    return 2;
  }
  sqlite3 *database;
  if (sqlite3_open(argv[1], &database) != SQLITE_OK) {
    fprintf(stderr, "sqlite: %s: %s\n", argv[1], sqlite3_errmsg(database));
    return 1;
  }
  int code = 0;
  for (int i = 2; code == 0 && i < argc; i++) code = run(database, argv[i]);
  if (argc == 2) {
    char *sql = read_stdin();
    if (sql == NULL) {
      fprintf(stderr, "sqlite: out of memory\n");
      return 1;
    }
    code = run(database, sql);
    free(sql);
  }
  if (sqlite3_close(database) != SQLITE_OK && code == 0) {
    fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(database));
    code = 1;
  }
  return code;
}
