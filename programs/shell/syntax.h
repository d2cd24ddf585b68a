/*
 * Commands as they were read. Words are kept as they were written, quotes and all: what they mean is found when they are
 * expanded, and a command can be written down again for another shell (printer.c).
 */
#ifndef SHELL_SYNTAX_H
#define SHELL_SYNTAX_H
#include <stdbool.h>
#include "region.h"

enum redirect_kind { FROM, TO, APPEND, CLOBBER, FROM_AND_TO, SAME_INPUT, SAME_OUTPUT, HERE };

struct redirect {
  enum redirect_kind kind;
  int fd;
  /** A path, a descriptor, or what ends the text. */
  char *word;
  char *here;
  bool here_is_quoted;
  struct redirect *next;
};

enum node_kind {
  SIMPLE,
  PIPELINE,
  AND,
  OR,
  SEQUENCE,
  BACKGROUND,
  NOT,
  TIMED,
  SUBSHELL,
  BRACES,
  IF,
  WHILE,
  UNTIL,
  FOR,
  CASE,
  FUNCTION,
};

struct case_item {
  char **patterns;
  struct node *body;
  struct case_item *next;
};

struct node {
  enum node_kind kind;
  /** SIMPLE: assignments, then words. FOR: its list; NULL: the arguments of the shell. */
  char **assignments;
  char **words;
  /** FOR, FUNCTION: a name. CASE: a word. */
  char *name;
  /** IF: condition, then, else. Loops: condition, body. Pairs: left, right. */
  struct node *first, *second, *third;
  /** PIPELINE: its stages, ended by NULL. */
  struct node **stages;
  struct case_item *items;
  struct redirect *redirects;
  int line;
};

enum token {
  END,
  NEWLINE,
  WORD,
  AMPERSAND,
  AND_IF,
  PIPE_,
  OR_IF,
  SEMICOLON,
  DOUBLE_SEMICOLON,
  OPEN,
  CLOSE,
  REDIRECT,
};

struct lexeme {
  enum token token;
  char *word;
  enum redirect_kind kind;
  int fd;
  bool strips_tabs;
};

/** Where commands come from. */
struct reader {
  const char *text;
  size_t at, length;
  int line;
  /** Appends a line to the text; false at the end. NULL: the text is all. `continues`: within a command. */
  bool (*more)(struct reader *, bool continues);
  void *from;
  const char *name;
  /** The command that is read. */
  struct region region;
  bool failed, at_end;
  /** More would have made a command of it: a quote or a word is missing at its end. */
  bool incomplete;
  char error[256];
  struct redirect *pending[16];
  int pending_count;
  int depth;
  /** The token at a place, for who looks twice: what stands in it is read once. */
  struct {
    bool is_there;
    size_t begin, end;
    int line;
    struct lexeme found;
  } known;
  /** Functions were defined: what was read is kept. */
  bool keeps;
};

/** The next token; it is not taken until lexer_take. */
struct lexeme lexer_peek(struct reader *);
struct lexeme lexer_take(struct reader *);
void reader_fail(struct reader *, const char *form, ...);
/** The character at `ahead`, with more lines where they are needed; 0 at the end. */
char reader_char(struct reader *, size_t ahead);
/** Goes over what begins with a $ or a backquote, as lexer and expansion both have to. */
void skip_dollar(struct reader *);
void skip_backquotes(struct reader *);

/** A command up to the end of its line; NULL at the end, for an empty line, or with an error (reader->failed). */
struct node *parse_line(struct reader *);
/** All commands up to the token, which is left. */
struct node *parse_list(struct reader *, enum token end);
struct reader reader_of_text(const char *text, const char *name);
bool is_name(const char *text, size_t length);
/** Where the = of an assignment stands; 0: it is none. */
size_t assignment(const char *word);

/** As a shell can read it again. */
void print_node(struct text *, const struct node *);
/** In quotes, where it needs them. */
void print_quoted(struct text *, const char *);
#endif
