/* Commands, by recursive descent over the grammar of POSIX. Reserved words are words at the beginning of a command. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "syntax.h"

#define DEPTH_MAX 200

static struct node *new_node(struct reader *reader, enum node_kind kind) {
  struct node *node = region_take(&reader->region, sizeof *node);
  node->kind = kind;
  node->line = reader->line;
  return node;
}

bool is_name(const char *text, size_t length) {
  if (length == 0 || isdigit((unsigned char)text[0])) return false;
  for (size_t i = 0; i < length; i++)
    if (!isalnum((unsigned char)text[i]) && text[i] != '_') return false;
  return true;
}

size_t assignment(const char *word) {
  size_t length = strcspn(word, "=");
  return word[length] == '=' && is_name(word, length) ? length : 0;
}

struct reader reader_of_text(const char *text, const char *name) {
  return (struct reader){ .text = text, .length = strlen(text), .line = 1, .name = name };
}

static const char *name_of(struct lexeme found) {
  static const char *const names[] = { "the end", "the end of the line", "", "&", "&&", "|", "||", ";", ";;", "(", ")", "a redirection" };
  return found.token == WORD ? found.word : names[found.token];
}

static void unexpected(struct reader *reader, const char *wanted) {
  struct lexeme found = lexer_peek(reader);
  if (found.token == END) reader->incomplete = true;
  if (wanted == NULL) reader_fail(reader, "\"%s\" is not expected here", name_of(found));
  else reader_fail(reader, "\"%s\" is not expected here, but \"%s\"", name_of(found), wanted);
}

static bool is_word(struct lexeme found, const char *word) { return found.token == WORD && strcmp(found.word, word) == 0; }
static bool next_is(struct reader *reader, const char *word) { return is_word(lexer_peek(reader), word); }

static bool expect(struct reader *reader, const char *word) {
  if (reader->failed) return false;
  if (next_is(reader, word)) {
    lexer_take(reader);
    return true;
  }
  unexpected(reader, word);
  return false;
}

/** The text up to the word that ends it, which is no part of it. */
static void read_here(struct reader *reader, struct redirect *redirect) {
  struct text body = text_in(&reader->region), end = text_in(&reader->region);
  bool strips = redirect->here != NULL;
  for (const char *at = redirect->word; *at != 0; at++) {
    if (strchr("'\"\\", *at) == NULL) text_put(&end, *at);
    else redirect->here_is_quoted = true;
  }
  reader->depth++;
  for (;;) {
    if (reader_char(reader, 0) == 0) break;
    struct text line = text_in(&reader->region);
    while (reader_char(reader, 0) != 0 && reader_char(reader, 0) != '\n') text_put(&line, reader->text[reader->at++]);
    if (reader_char(reader, 0) == '\n') reader->at++;
    reader->line++;
    char *begin = line.at;
    while (strips && *begin == '\t') begin++;
    if (strcmp(begin, end.at) == 0) break;
    text_append(&body, begin);
    text_put(&body, '\n');
  }
  reader->depth--;
  redirect->here = body.at;
}

static void take_newline(struct reader *reader) {
  lexer_take(reader);
  for (int i = 0; i < reader->pending_count; i++) read_here(reader, reader->pending[i]);
  reader->pending_count = 0;
}

static void skip_newlines(struct reader *reader) {
  while (!reader->failed && lexer_peek(reader).token == NEWLINE) take_newline(reader);
}

static void add_redirect(struct reader *reader, struct redirect ***end) {
  struct lexeme operator = lexer_take(reader);
  struct lexeme word = lexer_peek(reader);
  if (word.token != WORD) return unexpected(reader, "a name");
  lexer_take(reader);
  struct redirect *made = region_take(&reader->region, sizeof *made);
  *made = (struct redirect){ .kind = operator.kind, .fd = operator.fd, .word = word.word };
  if (operator.kind == HERE) {
    made->here = operator.strips_tabs ? word.word : NULL;
    if (reader->pending_count == 16) return reader_fail(reader, "more than 16 texts by << in a line");
    reader->pending[reader->pending_count++] = made;
  }
  **end = made;
  *end = &made->next;
}

static bool ends_list(struct reader *reader, enum token end) {
  static const char *const words[] = { "then", "else", "elif", "fi", "do", "done", "esac", "}" };
  struct lexeme found = lexer_peek(reader);
  if (found.token == END || found.token == end || found.token == DOUBLE_SEMICOLON || found.token == CLOSE) return true;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (is_word(found, words[i])) return true;
  return false;
}

/** A list that may not be empty. */
static struct node *body_of(struct reader *reader) {
  struct node *list = parse_list(reader, DOUBLE_SEMICOLON);
  if (list == NULL && !reader->failed) unexpected(reader, "a command");
  return list;
}

static struct node *parse_if(struct reader *reader) {
  struct node *node = new_node(reader, IF);
  lexer_take(reader);
  node->first = body_of(reader);
  if (!expect(reader, "then")) return NULL;
  node->second = body_of(reader);
  if (next_is(reader, "elif")) {
    node->third = parse_if(reader);
    return node;
  }
  if (next_is(reader, "else")) {
    lexer_take(reader);
    node->third = body_of(reader);
  }
  return expect(reader, "fi") ? node : NULL;
}

static struct node *parse_loop(struct reader *reader, enum node_kind kind) {
  struct node *node = new_node(reader, kind);
  lexer_take(reader);
  node->first = body_of(reader);
  if (!expect(reader, "do")) return NULL;
  node->second = body_of(reader);
  return expect(reader, "done") ? node : NULL;
}

static struct node *parse_for(struct reader *reader) {
  struct node *node = new_node(reader, FOR);
  lexer_take(reader);
  struct lexeme name = lexer_take(reader);
  if (name.token != WORD || !is_name(name.word, strlen(name.word))) return unexpected(reader, "the name of a variable"), NULL;
  node->name = name.word;
  skip_newlines(reader);
  if (next_is(reader, "in")) {
    lexer_take(reader);
    struct list words = list_in(&reader->region);
    while (lexer_peek(reader).token == WORD && !reader->failed) list_add(&words, lexer_take(reader).word);
    node->words = words.at;
    enum token end = lexer_peek(reader).token;
    if (end != SEMICOLON && end != NEWLINE) return unexpected(reader, ";"), NULL;
  }
  if (lexer_peek(reader).token == SEMICOLON) lexer_take(reader);
  skip_newlines(reader);
  if (!expect(reader, "do")) return NULL;
  node->second = body_of(reader);
  return expect(reader, "done") ? node : NULL;
}

static struct node *parse_case(struct reader *reader) {
  struct node *node = new_node(reader, CASE);
  lexer_take(reader);
  struct lexeme word = lexer_take(reader);
  if (word.token != WORD) return unexpected(reader, "a word"), NULL;
  node->name = word.word;
  skip_newlines(reader);
  if (!expect(reader, "in")) return NULL;
  struct case_item **end = &node->items;
  for (;;) {
    skip_newlines(reader);
    if (reader->failed) return NULL;
    if (next_is(reader, "esac")) break;
    struct case_item *item = region_take(&reader->region, sizeof *item);
    struct list patterns = list_in(&reader->region);
    if (lexer_peek(reader).token == OPEN) lexer_take(reader);
    for (;;) {
      struct lexeme pattern = lexer_peek(reader);
      if (pattern.token != WORD) return unexpected(reader, "a pattern"), NULL;
      lexer_take(reader);
      list_add(&patterns, pattern.word);
      if (lexer_peek(reader).token != PIPE_) break;
      lexer_take(reader);
    }
    if (lexer_peek(reader).token != CLOSE) return unexpected(reader, ")"), NULL;
    lexer_take(reader);
    item->patterns = patterns.at;
    item->body = parse_list(reader, DOUBLE_SEMICOLON);
    *end = item;
    end = &item->next;
    if (lexer_peek(reader).token == DOUBLE_SEMICOLON) lexer_take(reader);
    else if (!next_is(reader, "esac")) return unexpected(reader, ";;"), NULL;
  }
  lexer_take(reader);
  return node;
}

static struct node *parse_group(struct reader *reader, enum node_kind kind) {
  struct node *node = new_node(reader, kind);
  lexer_take(reader);
  node->first = body_of(reader);
  if (reader->failed) return NULL;
  if (kind == BRACES) return expect(reader, "}") ? node : NULL;
  if (lexer_peek(reader).token != CLOSE) return unexpected(reader, ")"), NULL;
  lexer_take(reader);
  return node;
}

static struct node *parse_command(struct reader *reader);

static struct node *parse_simple(struct reader *reader) {
  struct node *node = new_node(reader, SIMPLE);
  struct list words = list_in(&reader->region), assignments = list_in(&reader->region);
  struct redirect **end = &node->redirects;
  for (;;) {
    struct lexeme found = lexer_peek(reader);
    if (reader->failed) return NULL;
    if (found.token == REDIRECT) add_redirect(reader, &end);
    else if (found.token == WORD) {
      lexer_take(reader);
      bool assigns = words.count == 0 && assignment(found.word) > 0;
      list_add(assigns ? &assignments : &words, found.word);
    } else if (found.token == OPEN && words.count == 1 && assignments.count == 0 && node->redirects == NULL) {
      lexer_take(reader);
      if (lexer_peek(reader).token != CLOSE) return unexpected(reader, ")"), NULL;
      lexer_take(reader);
      skip_newlines(reader);
      node->kind = FUNCTION;
      node->name = words.at[0];
      if (!is_name(node->name, strlen(node->name))) reader_fail(reader, "\"%s\" is no name of a function", node->name);
      node->first = parse_command(reader);
      reader->keeps = true;
      return node;
    } else break;
  }
  node->words = words.at;
  node->assignments = assignments.at;
  if (words.count == 0 && assignments.count == 0 && node->redirects == NULL) return unexpected(reader, NULL), NULL;
  return node;
}

static struct node *parse_compound(struct reader *reader, struct lexeme found) {
  if (found.token == OPEN) return parse_group(reader, SUBSHELL);
  if (is_word(found, "{")) return parse_group(reader, BRACES);
  if (is_word(found, "if")) return parse_if(reader);
  if (is_word(found, "while")) return parse_loop(reader, WHILE);
  if (is_word(found, "until")) return parse_loop(reader, UNTIL);
  if (is_word(found, "for")) return parse_for(reader);
  if (is_word(found, "case")) return parse_case(reader);
  return NULL;
}

static struct node *parse_command(struct reader *reader) {
  struct lexeme found = lexer_peek(reader);
  if (reader->depth > DEPTH_MAX) return reader_fail(reader, "commands within commands, more than %d deep", DEPTH_MAX), NULL;
  reader->depth++;
  struct node *node = parse_compound(reader, found);
  if (node == NULL && !reader->failed) {
    reader->depth--;
    if (found.token == WORD && ends_list(reader, END)) return unexpected(reader, NULL), NULL;
    return parse_simple(reader);
  }
  reader->depth--;
  if (node == NULL) return NULL;
  struct redirect **end = &node->redirects;
  while (lexer_peek(reader).token == REDIRECT && !reader->failed) add_redirect(reader, &end);
  return node;
}

static struct node *around(struct reader *reader, enum node_kind kind, struct node *node) {
  struct node *outer = new_node(reader, kind);
  outer->first = node;
  return outer;
}

static struct node *parse_pipeline(struct reader *reader) {
  bool is_negated = false, is_timed = false;
  for (;;) {
    if (next_is(reader, "!")) is_negated = !is_negated;
    else if (next_is(reader, "time")) is_timed = true;
    else if (!is_timed || !next_is(reader, "-p")) break;
    lexer_take(reader);
  }
  struct list stages = list_in(&reader->region);
  struct node *node;
  for (;;) {
    node = parse_command(reader);
    if (node == NULL || reader->failed) return NULL;
    list_add(&stages, (char *)node);
    if (lexer_peek(reader).token != PIPE_) break;
    lexer_take(reader);
    reader->depth++;
    skip_newlines(reader);
    reader->depth--;
  }
  if (stages.count > 1) {
    node = new_node(reader, PIPELINE);
    node->stages = (struct node **)stages.at;
  }
  if (is_timed) node = around(reader, TIMED, node);
  return is_negated ? around(reader, NOT, node) : node;
}

static struct node *parse_and_or(struct reader *reader) {
  struct node *left = parse_pipeline(reader);
  for (;;) {
    enum token next = reader->failed ? END : lexer_peek(reader).token;
    if (next != AND_IF && next != OR_IF) return left;
    lexer_take(reader);
    reader->depth++;
    skip_newlines(reader);
    reader->depth--;
    struct node *node = new_node(reader, next == AND_IF ? AND : OR);
    node->first = left;
    node->second = parse_pipeline(reader);
    left = node;
  }
}

/** One after the other; a line alone ends at its end. */
static struct node *parse_sequence(struct reader *reader, enum token end, bool of_one_line) {
  struct node *all = NULL;
  for (;;) {
    if (!of_one_line) skip_newlines(reader);
    if (reader->failed || ends_list(reader, end)) return all;
    struct node *next = parse_and_or(reader);
    if (reader->failed) return NULL;
    enum token after = lexer_peek(reader).token;
    if (after == AMPERSAND) {
      struct node *node = new_node(reader, BACKGROUND);
      node->first = next;
      next = node;
    }
    if (all == NULL) all = next;
    else {
      struct node *node = new_node(reader, SEQUENCE);
      node->first = all;
      node->second = next;
      all = node;
    }
    if (after == AMPERSAND || after == SEMICOLON) {
      lexer_take(reader);
      if (of_one_line && lexer_peek(reader).token == NEWLINE) return all;
    } else if (after == NEWLINE && !of_one_line) take_newline(reader);
    else return all;
  }
}

struct node *parse_list(struct reader *reader, enum token end) {
  reader->depth++;
  struct node *list = parse_sequence(reader, end, false);
  reader->depth--;
  return list;
}

struct node *parse_line(struct reader *reader) {
  reader->depth = reader->pending_count = 0;
  struct lexeme first = lexer_peek(reader);
  if (first.token == END) {
    if (!reader->failed) reader->at_end = true;
    return NULL;
  }
  if (first.token == NEWLINE) {
    take_newline(reader);
    return NULL;
  }
  struct node *node = parse_sequence(reader, NEWLINE, true);
  if (reader->failed) return NULL;
  struct lexeme after = lexer_peek(reader);
  if (after.token == NEWLINE) take_newline(reader);
  else if (after.token != END) return unexpected(reader, NULL), NULL;
  // A text by << that has no end but the end.
  reader->pending_count = 0;
  return node;
}
