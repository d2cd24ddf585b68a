/* What words stand for: quotes, ~, parameters, commands, numbers; then fields and paths (fields.c). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cells.h"

static void mark_quotes(struct cells *cells) { cells_add(cells, EMPTY, "\1", 1); }
static enum cell kind_in(enum quoting quoting) { return quoting == PLAIN ? LITERAL : quoting == INSIDE ? EXPANDED : QUOTED; }

static const char *home_of(const char *name, size_t length) {
  if (length == 0) return variable("HOME");
  struct text path = text_in(&scratch);
  text_append(&path, "/home/");
  text_add(&path, name, length);
  return access(path.at, F_OK) == 0 ? path.at : NULL;
}

/** ~ and ~name; how many characters it took. */
static size_t expand_tilde(struct cells *cells, const char *at, size_t length, bool assigns) {
  size_t end = 1;
  while (end < length && (isalnum((unsigned char)at[end]) || strchr("._@-", at[end]) != NULL)) end++;
  if (end < length && at[end] != '/' && !(assigns && at[end] == ':')) return 0;
  const char *home = home_of(at + 1, end - 1);
  if (home == NULL) return 0;
  cells_add(cells, QUOTED, home, strlen(home));
  return end;
}

/** Within double quotes, up to the other one; how many characters it took. */
static size_t expand_double(struct cells *cells, const char *at, size_t length) {
  size_t end = 1;
  while (end < length && at[end] != '"') {
    if (at[end] == '\\') end += 2;
    else if (at[end] == '$' || at[end] == '`') {
      struct reader reader = reader_of_text(at + end, "");
      if (at[end] == '$') skip_dollar(&reader);
      else skip_backquotes(&reader);
      region_free(&reader.region);
      end += reader.at > 0 ? reader.at : 1;
    } else end++;
  }
  if (end > length) end = length;
  bool is_each = (end == 3 && strncmp(at + 1, "$@", 2) == 0) || (end == 5 && strncmp(at + 1, "${@}", 4) == 0);
  if (!is_each) mark_quotes(cells);
  expand_into(cells, at + 1, end - 1, DOUBLE, false);
  return end < length ? end + 1 : length;
}

static size_t expand_backslash(struct cells *cells, const char *at, size_t length, enum quoting quoting) {
  if (length == 1) return cells_add(cells, QUOTED, at, 1), 1;
  if (at[1] == '\n') return 2;
  bool quotes = IS_PLAIN(quoting) || strchr(quoting == DOUBLE ? "$`\"\\" : "$`\\", at[1]) != NULL;
  if (!quotes) cells_add(cells, QUOTED, at, 1);
  cells_add(cells, QUOTED, at + 1, 1);
  return 2;
}

static size_t expand_backquotes(struct cells *cells, const char *at, enum quoting quoting) {
  struct text command = text_in(&scratch);
  size_t end = 1;
  for (; at[end] != 0 && at[end] != '`'; end++) {
    if (at[end] == '\\' && at[end + 1] != 0 && strchr(quoting == DOUBLE ? "$`\\\"" : "$`\\", at[end + 1]) != NULL) end++;
    text_put(&command, at[end]);
  }
  char *output = output_of(command.at);
  cells_add(cells, IS_PLAIN(quoting) ? EXPANDED : QUOTED, output, strlen(output));
  return at[end] == 0 ? end : end + 1;
}

void expand_into(struct cells *cells, const char *word, size_t length, enum quoting quoting, bool assigns) {
  // What is looked at ends where it is told.
  const char *copy = region_text(&scratch, word, length);
  size_t at = 0;
  bool may_be_home = IS_PLAIN(quoting);
  while (at < length && !shell.failed) {
    const char *here = copy + at;
    size_t taken = 0;
    if (*here == '~' && may_be_home) taken = expand_tilde(cells, here, length - at, assigns);
    may_be_home = assigns && IS_PLAIN(quoting) && (*here == ':' || *here == '=');
    if (taken > 0) {
    } else if (*here == '\\') taken = expand_backslash(cells, here, length - at, quoting);
    else if (*here == '\'' && IS_PLAIN(quoting)) {
      taken = strcspn(here + 1, "'") + 2;
      mark_quotes(cells);
      cells_add(cells, QUOTED, here + 1, taken - 2);
    } else if (*here == '"' && IS_PLAIN(quoting)) taken = expand_double(cells, here, length - at);
    else if (*here == '"' && quoting == DOUBLE) taken = 1;
    else if (*here == '$') taken = expand_dollar(cells, here, quoting);
    else if (*here == '`') taken = expand_backquotes(cells, here, quoting);
    else {
      taken = 1;
      cells_add(cells, kind_in(quoting), here, 1);
    }
    at += taken;
  }
}

char **expand_words(char *const *words) {
  struct list all = list_in(&scratch);
  for (; words != NULL && *words != NULL && !shell.failed; words++) {
    struct cells cells = cells_new();
    expand_into(&cells, *words, strlen(*words), PLAIN, false);
    if (shell.failed) break;
    for (char **field = cells_fields(&cells); *field != NULL; field++) list_add(&all, *field);
  }
  return all.at;
}

char *expand_text(const char *word) {
  struct cells cells = cells_new();
  expand_into(&cells, word, strlen(word), PLAIN, true);
  return cells_text(&cells, false);
}

char *expand_pattern(const char *word) {
  struct cells cells = cells_new();
  expand_into(&cells, word, strlen(word), PLAIN, false);
  return cells_text(&cells, true);
}

char *expand_here(const char *body) {
  struct cells cells = cells_new();
  expand_into(&cells, body, strlen(body), HERE_TEXT, false);
  return cells_text(&cells, false);
}
