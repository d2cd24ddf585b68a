/* Fields of what was expanded, by IFS; those that are patterns become the paths that they match. */
#include <string.h>
#include "cells.h"

struct cells cells_new(void) { return (struct cells){ text_in(&scratch), text_in(&scratch) }; }

void cells_add(struct cells *cells, enum cell kind, const char *bytes, size_t length) {
  text_add(&cells->bytes, bytes, length);
  for (size_t i = 0; i < length; i++) text_put(&cells->kinds, (char)kind);
}

static bool is_special_in_pattern(char byte) { return strchr("*?[]\\-!^", byte) != NULL; }

static void add_byte(struct text *out, char byte, char kind) {
  if ((kind == QUOTED && is_special_in_pattern(byte)) || (kind == EXPANDED && byte == '\\')) text_put(out, '\\');
  text_put(out, byte);
}

char *cells_text(const struct cells *cells, bool as_pattern) {
  struct text out = text_in(&scratch);
  for (size_t i = 0; i < cells->bytes.length; i++) {
    char kind = cells->kinds.at[i];
    if (kind == EMPTY) continue;
    if (kind == BREAK) text_put(&out, ' ');
    else if (as_pattern) add_byte(&out, cells->bytes.at[i], kind);
    else text_put(&out, cells->bytes.at[i]);
  }
  return out.at;
}

static void end_field(struct list *fields, struct text *field) {
  if (!shell.noglob && has_pattern(field->at)) add_paths(fields, field->at);
  else list_add(fields, without_quotes(field->at));
  *field = text_in(&scratch);
}

char **cells_fields(const struct cells *cells) {
  const char *ifs = variable("IFS");
  if (ifs == NULL) ifs = " \t\n";
  struct list fields = list_in(&scratch);
  struct text field = text_in(&scratch);
  bool is_begun = false, ended_by_space = false;
  for (size_t i = 0; i < cells->bytes.length; i++) {
    char byte = cells->bytes.at[i], kind = cells->kinds.at[i];
    if (kind == BREAK || (kind == EXPANDED && strchr(ifs, byte) != NULL)) {
      bool is_space = kind != BREAK && strchr(" \t\n", byte) != NULL;
      if (is_begun || (kind != BREAK && !is_space && !ended_by_space)) end_field(&fields, &field);
      ended_by_space = is_space && (is_begun || ended_by_space);
      is_begun = false;
      continue;
    }
    ended_by_space = false;
    is_begun = true;
    if (kind != EMPTY) add_byte(&field, byte, kind);
  }
  if (is_begun) end_field(&fields, &field);
  return fields.at;
}
