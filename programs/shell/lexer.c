/* Tokens: operators, and words with their quotes. What stands in $( ) is parsed to find its end. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "syntax.h"

void reader_fail(struct reader *reader, const char *form, ...) {
  if (reader->failed) return;
  reader->failed = true;
  va_list with;
  va_start(with, form);
  vsnprintf(reader->error, sizeof reader->error, form, with);
  va_end(with);
}

char reader_char(struct reader *reader, size_t ahead) {
  while (reader->at + ahead >= reader->length) {
    if (reader->failed || reader->more == NULL) return 0;
    if (reader->more(reader, reader->depth > 0)) continue;
    // The end of what is typed is said once.
    if (!reader->failed) reader->more = NULL;
    return 0;
  }
  return reader->text[reader->at + ahead];
}

static void missing(struct reader *reader, const char *what) {
  reader->incomplete = true;
  reader_fail(reader, "%s is missing before the end", what);
}

static void skip_single(struct reader *reader) {
  for (reader->at++; reader_char(reader, 0) != '\''; reader->at++) {
    if (reader_char(reader, 0) == 0) return missing(reader, "a '");
    if (reader_char(reader, 0) == '\n') reader->line++;
  }
  reader->at++;
}

void skip_backquotes(struct reader *reader) {
  for (reader->at++; reader_char(reader, 0) != '`'; reader->at++) {
    if (reader_char(reader, 0) == 0) return missing(reader, "a `");
    if (reader_char(reader, 0) == '\\' && reader_char(reader, 1) != 0) reader->at++;
  }
  reader->at++;
}

static void skip_double(struct reader *reader) {
  reader->at++;
  for (;;) {
    switch (reader_char(reader, 0)) {
      case 0:
        return missing(reader, "a \"");
      case '"':
        reader->at++;
        return;
      case '\\':
        if (reader_char(reader, 1) != 0) reader->at++;
        reader->at++;
        break;
      case '$':
        skip_dollar(reader);
        break;
      case '`':
        skip_backquotes(reader);
        break;
      case '\n':
        reader->line++;
        // fall through
      default:
        reader->at++;
    }
    if (reader->failed) return;
  }
}

static void skip_braces(struct reader *reader) {
  reader->at += 2;
  for (;;) {
    switch (reader_char(reader, 0)) {
      case 0:
        return missing(reader, "a }");
      case '}':
        reader->at++;
        return;
      case '\\':
        if (reader_char(reader, 1) != 0) reader->at++;
        reader->at++;
        break;
      case '\'':
        skip_single(reader);
        break;
      case '"':
        skip_double(reader);
        break;
      case '$':
        skip_dollar(reader);
        break;
      case '`':
        skip_backquotes(reader);
        break;
      default:
        reader->at++;
    }
    if (reader->failed) return;
  }
}

/** $(( )), where it ends with both; false: it is a command. */
static bool skip_arithmetic(struct reader *reader) {
  size_t at = reader->at + 3;
  for (int depth = 0;;) {
    reader->depth++;
    size_t here = reader->at;
    char c = reader_char(reader, at - here);
    reader->depth--;
    if (c == 0) return false;
    if (c == '(') depth++;
    else if (c == ')' && depth-- == 0) {
      if (reader_char(reader, at + 1 - here) != ')') return false;
      reader->at = at + 2;
      return true;
    }
    at++;
  }
}

void skip_dollar(struct reader *reader) {
  char next = reader_char(reader, 1);
  if (next == '{') return skip_braces(reader);
  if (next != '(') {
    reader->at++;
    return;
  }
  if (reader_char(reader, 2) == '(' && skip_arithmetic(reader)) return;
  reader->at += 2;
  reader->depth++;
  parse_list(reader, CLOSE);
  if (!reader->failed && lexer_take(reader).token != CLOSE) missing(reader, "a )");
  reader->depth--;
}

static char *word_at(struct reader *reader) {
  size_t begin = reader->at;
  reader->depth++;
  while (!reader->failed) {
    char c = reader_char(reader, 0);
    if (c == 0 || isspace((unsigned char)c) || strchr("&|;()<>", c) != NULL) break;
    if (c == '\\') {
      if (reader_char(reader, 1) == '\n') reader->line++;
      reader->at += reader_char(reader, 1) == 0 ? 1 : 2;
    } else if (c == '\'') skip_single(reader);
    else if (c == '"') skip_double(reader);
    else if (c == '$') skip_dollar(reader);
    else if (c == '`') skip_backquotes(reader);
    else reader->at++;
  }
  reader->depth--;
  return region_text(&reader->region, reader->text + begin, reader->at - begin);
}

static struct lexeme redirection(struct reader *reader, int fd) {
  struct lexeme found = { .token = REDIRECT };
  char first = reader_char(reader, 0), second = reader_char(reader, 1);
  reader->at++;
  bool two = true;
  if (first == '<') {
    if (second == '<') found.kind = HERE;
    else if (second == '&') found.kind = SAME_INPUT;
    else if (second == '>') found.kind = FROM_AND_TO;
    else found.kind = FROM, two = false;
  } else if (second == '>') found.kind = APPEND;
  else if (second == '&') found.kind = SAME_OUTPUT;
  else if (second == '|') found.kind = CLOBBER;
  else found.kind = TO, two = false;
  if (two) reader->at++;
  if (found.kind == HERE && reader_char(reader, 0) == '-') {
    found.strips_tabs = true;
    reader->at++;
  }
  found.fd = fd >= 0 ? fd : first == '<' ? 0 : 1;
  return found;
}

static struct lexeme operator_at(struct reader *reader, enum token one, enum token two) {
  char c = reader_char(reader, 0);
  bool twice = two != END && reader_char(reader, 1) == c;
  reader->at += twice ? 2 : 1;
  return (struct lexeme){ .token = twice ? two : one };
}

static struct lexeme token_at(struct reader *reader) {
  for (;;) {
    char c = reader_char(reader, 0);
    if (c == ' ' || c == '\t' || c == '\r') reader->at++;
    else if (c == '\\' && reader_char(reader, 1) == '\n') {
      reader->at += 2;
      reader->line++;
    } else if (c == '#') {
      while (reader_char(reader, 0) != 0 && reader_char(reader, 0) != '\n') reader->at++;
    } else break;
  }
  char c = reader_char(reader, 0);
  switch (c) {
    case 0:
      return (struct lexeme){ .token = END };
    case '\n':
      reader->at++;
      reader->line++;
      return (struct lexeme){ .token = NEWLINE };
    case '&':
      return operator_at(reader, AMPERSAND, AND_IF);
    case '|':
      return operator_at(reader, PIPE_, OR_IF);
    case ';':
      return operator_at(reader, SEMICOLON, DOUBLE_SEMICOLON);
    case '(':
      return operator_at(reader, OPEN, END);
    case ')':
      return operator_at(reader, CLOSE, END);
    case '<':
    case '>':
      return redirection(reader, -1);
    default:
      if (isdigit((unsigned char)c) && strchr("<>", reader_char(reader, 1)) != NULL && reader_char(reader, 1) != 0) {
        reader->at++;
        return redirection(reader, c - '0');
      }
      return (struct lexeme){ .token = WORD, .word = word_at(reader) };
  }
}

struct lexeme lexer_take(struct reader *reader) {
  if (reader->known.is_there && reader->known.begin == reader->at) {
    reader->at = reader->known.end;
    reader->line = reader->known.line;
    return reader->known.found;
  }
  return token_at(reader);
}

struct lexeme lexer_peek(struct reader *reader) {
  if (reader->known.is_there && reader->known.begin == reader->at) return reader->known.found;
  size_t begin = reader->at;
  int line = reader->line;
  struct lexeme found = token_at(reader);
  reader->known.is_there = !reader->failed;
  reader->known.begin = begin;
  reader->known.end = reader->at;
  reader->known.line = reader->line;
  reader->known.found = found;
  reader->at = begin;
  reader->line = line;
  return found;
}
