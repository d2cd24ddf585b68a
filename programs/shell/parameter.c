/* What begins with a $: parameters with their operators, commands, numbers. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cells.h"

static char *number_text(long long number) {
  char digits[32];
  int length = snprintf(digits, sizeof digits, "%lld", number);
  return region_text(&scratch, digits, (size_t)length);
}

static char *joined_arguments(const char *between, size_t length) {
  struct text all = text_in(&scratch);
  for (int i = 0; i < shell.argument_count; i++) {
    if (i > 0) text_add(&all, between, length);
    text_append(&all, shell.arguments[i]);
  }
  return all.at;
}

static char *options_text(void) {
  struct text all = text_in(&scratch);
  if (shell.errexit) text_put(&all, 'e');
  if (shell.noglob) text_put(&all, 'f');
  if (shell.interactive) text_put(&all, 'i');
  if (shell.nounset) text_put(&all, 'u');
  if (shell.xtrace) text_put(&all, 'x');
  return all.at;
}

const char *special_parameter(const char *name, size_t length) {
  if (isdigit((unsigned char)*name)) {
    int number = atoi(name);
    if (number == 0) return shell.name;
    return number <= shell.argument_count ? shell.arguments[number - 1] : NULL;
  }
  if (length != 1) return NULL;
  switch (*name) {
    case '?':
      return number_text(shell.status);
    case '$':
      return number_text(shell.pid);
    case '!':
      return shell.background == 0 ? NULL : number_text(shell.background);
    case '#':
      return number_text(shell.argument_count);
    case '-':
      return options_text();
    case '@':
    case '*': {
      const char *ifs = variable("IFS");
      if (shell.argument_count == 0) return NULL;
      if (*name == '@') return joined_arguments(" ", 1);
      return joined_arguments(ifs == NULL ? " " : ifs, ifs == NULL ? 1 : *ifs != 0);
    }
    default:
      return NULL;
  }
}

static const char *value_of(const char *name, size_t length) {
  if (!isalpha((unsigned char)*name) && *name != '_') return special_parameter(name, length);
  return variable(region_text(&scratch, name, length));
}

/** How long the name of a parameter is that begins here; 0: there is none. */
static size_t name_length(const char *at, bool braces) {
  size_t length = 0;
  if (isdigit((unsigned char)*at)) {
    do length++;
    while (braces && isdigit((unsigned char)at[length]));
    return length;
  }
  if (*at != 0 && strchr("?$!#-@*", *at) != NULL) return 1;
  while (isalnum((unsigned char)at[length]) || at[length] == '_') length++;
  return length;
}

static void add_value(struct cells *cells, const char *value, enum quoting quoting) {
  cells_add(cells, IS_PLAIN(quoting) ? EXPANDED : QUOTED, value, strlen(value));
}

/** $@, and $* without quotes: each argument is a field. */
static void add_arguments(struct cells *cells, enum quoting quoting) {
  for (int i = 0; i < shell.argument_count; i++) {
    if (i > 0) cells_add(cells, BREAK, " ", 1);
    if (!IS_PLAIN(quoting)) cells_add(cells, EMPTY, "\1", 1);
    add_value(cells, shell.arguments[i], quoting);
  }
}

static void add_parameter(struct cells *cells, const char *name, size_t length, enum quoting quoting) {
  if (length == 1 && (*name == '@' || (*name == '*' && IS_PLAIN(quoting)))) return add_arguments(cells, quoting);
  const char *value = value_of(name, length);
  if (value != NULL) return add_value(cells, value, quoting);
  if (!shell.nounset || strchr("@*", *name) != NULL) return;
  complain("%.*s: is not set", (int)length, name);
  shell.failed = true;
}

/** Without the shortest or longest beginning or end that matches. */
static char *without(const char *value, const char *pattern, bool at_end, bool longest) {
  size_t length = strlen(value);
  for (size_t i = 0; i <= length; i++) {
    size_t cut = at_end == longest ? i : length - i;
    char *rest = region_text(&scratch, value, length);
    if (at_end) {
      if (matches(pattern, value + cut)) return region_text(&scratch, value, cut);
      continue;
    }
    rest[cut] = 0;
    if (matches(pattern, rest)) return region_text(&scratch, value + cut, length - cut);
  }
  return region_text(&scratch, value, length);
}

static void assign_default(const char *name, size_t length, struct cells *cells, const char *word, size_t word_length, enum quoting quoting) {
  struct cells made = cells_new();
  expand_into(&made, word, word_length, quoting == DOUBLE ? DOUBLE : PLAIN, true);
  if (shell.failed) return;
  char *value = cells_text(&made, false);
  if (!is_name(name, length)) {
    complain("$%.*s: nothing can be assigned to it", (int)length, name);
    shell.failed = true;
    return;
  }
  if (set_variable(region_text(&scratch, name, length), value)) add_value(cells, value, quoting);
}

static void complain_unset(const char *name, size_t length, bool of_empty, const char *word, size_t word_length) {
  struct cells made = cells_new();
  expand_into(&made, word, word_length, PLAIN, false);
  char *why = cells_text(&made, false);
  if (*why == 0) why = of_empty ? "is not set, or empty" : "is not set";
  complain("%.*s: %s", (int)length, name, why);
  shell.failed = true;
}

static void expand_with(struct cells *cells, const char *name, size_t length, const char *at, size_t rest, enum quoting quoting) {
  const char *value = value_of(name, length);
  bool of_empty = *at == ':';
  size_t skipped = of_empty ? 2 : 1;
  char operator = at[of_empty ? 1 : 0];
  if (rest < skipped || strchr("-=?+%#", operator) == NULL || (of_empty && strchr("%#", operator) != NULL)) {
    complain("${%.*s%.*s}: is no expansion", (int)length, name, (int)rest, at);
    shell.failed = true;
    return;
  }
  const char *word = at + skipped;
  size_t word_length = rest - skipped;
  bool is_there = value != NULL && !(of_empty && *value == 0);
  switch (operator) {
    case '-':
      if (is_there) add_parameter(cells, name, length, quoting);
      else expand_into(cells, word, word_length, quoting == PLAIN ? INSIDE : quoting, false);
      return;
    case '+':
      if (is_there) expand_into(cells, word, word_length, quoting == PLAIN ? INSIDE : quoting, false);
      return;
    case '=':
      if (is_there) add_parameter(cells, name, length, quoting);
      else assign_default(name, length, cells, word, word_length, quoting);
      return;
    case '?':
      if (is_there) add_parameter(cells, name, length, quoting);
      else complain_unset(name, length, of_empty, word, word_length);
      return;
    default: {
      bool longest = *word == operator && word_length > 0;
      if (value == NULL && shell.nounset) return add_parameter(cells, name, length, quoting);
      char *pattern = expand_pattern(region_text(&scratch, word + longest, word_length - longest));
      add_value(cells, without(value == NULL ? "" : value, pattern, operator == '%', longest), quoting);
    }
  }
}

static size_t expand_braces(struct cells *cells, const char *at, size_t end, enum quoting quoting) {
  const char *inside = at + 2;
  size_t length = end - 3;
  if (*inside == '#' && length > 1) {
    size_t name = name_length(inside + 1, true);
    if (name + 1 == length && name > 0) {
      const char *value = value_of(inside + 1, name);
      if (value == NULL && shell.nounset) return add_parameter(cells, inside + 1, name, quoting), end;
      return add_value(cells, number_text((long long)(value == NULL ? 0 : strlen(value))), quoting), end;
    }
  }
  size_t name = name_length(inside, true);
  if (name == 0) {
    complain("${%.*s}: names no parameter", (int)length, inside);
    shell.failed = true;
  } else if (name == length) add_parameter(cells, inside, name, quoting);
  else expand_with(cells, inside, name, inside + name, length - name, quoting);
  return end;
}

static size_t expand_arithmetic(struct cells *cells, const char *at, size_t end, enum quoting quoting) {
  struct cells inside = cells_new();
  long long value;
  expand_into(&inside, at + 3, end - 5, DOUBLE, false);
  if (!shell.failed && arithmetic(cells_text(&inside, false), &value)) add_value(cells, number_text(value), quoting);
  else shell.failed = true;
  return end;
}

size_t expand_dollar(struct cells *cells, const char *at, enum quoting quoting) {
  if (at[1] != '{' && at[1] != '(') {
    size_t length = name_length(at + 1, false);
    if (length == 0) return cells_add(cells, IS_PLAIN(quoting) ? LITERAL : QUOTED, at, 1), 1;
    add_parameter(cells, at + 1, length, quoting);
    return length + 1;
  }
  struct reader reader = reader_of_text(at, "");
  skip_dollar(&reader);
  region_free(&reader.region);
  size_t end = reader.at;
  if (reader.failed) {
    complain("%s", reader.error);
    shell.failed = true;
    return strlen(at);
  }
  if (at[1] == '{') return expand_braces(cells, at, end, quoting);
  if (at[2] == '(' && end > 4 && at[end - 2] == ')') {
    // $((...)) where the lexer found it to be a number; $( (...) ) is written with a space.
    return expand_arithmetic(cells, at, end, quoting);
  }
  char *output = output_of(region_text(&scratch, at + 2, end - 3));
  cells_add(cells, IS_PLAIN(quoting) ? EXPANDED : QUOTED, output, strlen(output));
  return end;
}
