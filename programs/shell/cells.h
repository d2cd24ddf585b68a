/* What a word became: characters, each with where it comes from, so that what was quoted is neither split nor a pattern. */
#ifndef SHELL_CELLS_H
#define SHELL_CELLS_H
#include "shell.h"

/** Written in quotes, written without, made by an expansion without quotes; a new field begins; quotes were here. */
enum cell { QUOTED = 'q', LITERAL = 'l', EXPANDED = 'x', BREAK = 'b', EMPTY = 'e' };

struct cells {
  struct text bytes, kinds;
};

/** INSIDE: the word of an expansion that is not in quotes is split, too. */
enum quoting { PLAIN, INSIDE, DOUBLE, HERE_TEXT };
#define IS_PLAIN(quoting) ((quoting) <= INSIDE)

struct cells cells_new(void);
void cells_add(struct cells *, enum cell, const char *bytes, size_t length);
/** Expands what is written from `at` on; `assigns`: a ~ may stand after a colon, too. */
void expand_into(struct cells *, const char *at, size_t length, enum quoting, bool assigns);
/** At a $; how many characters it took. */
size_t expand_dollar(struct cells *, const char *at, enum quoting);
char **cells_fields(const struct cells *);
char *cells_text(const struct cells *, bool as_pattern);
#endif
