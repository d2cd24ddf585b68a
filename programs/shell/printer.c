/* Commands as text: for a shell that runs a part of them elsewhere, and for people. */
#include <stdio.h>
#include <string.h>
#include "syntax.h"

void print_quoted(struct text *out, const char *word) {
  if (*word != 0 && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+@%") == strlen(word))
    return text_append(out, word);
  text_put(out, '\'');
  for (; *word != 0; word++) {
    if (*word == '\'') text_append(out, "'\\''");
    else text_put(out, *word);
  }
  text_put(out, '\'');
}

static void print_redirects(struct text *out, const struct redirect *redirect) {
  static const char *const operators[] = { "<", ">", ">>", ">|", "<>", "<&", ">&", "<<" };
  for (; redirect != NULL; redirect = redirect->next) {
    const char *operator = operators[redirect->kind];
    char fd[16] = " ";
    if (redirect->fd != (*operator == '<' ? 0 : 1)) snprintf(fd, sizeof fd, " %d", redirect->fd);
    text_append(out, fd);
    text_append(out, operator);
    // What stands next to it is read with it.
    if (operator[1] != '&' && redirect->kind != HERE) text_put(out, ' ');
    text_append(out, redirect->word);
  }
}

/** Texts by << stand after the end of a line. */
static void collect_here(struct text *out, const struct redirect *redirect) {
  for (; redirect != NULL; redirect = redirect->next) {
    if (redirect->kind != HERE) continue;
    text_append(out, redirect->here == NULL ? "" : redirect->here);
    for (const char *at = redirect->word; *at != 0; at++)
      if (strchr("'\"\\", *at) == NULL) text_put(out, *at);
    text_put(out, '\n');
  }
}

static void print_words(struct text *out, char *const *words, bool goes_on) {
  for (; words != NULL && *words != NULL; words++) {
    if (goes_on) text_put(out, ' ');
    goes_on = true;
    text_append(out, *words);
  }
}

static void collect_texts(struct text *, const struct node *);

static bool has_texts(const struct node *node) {
  struct text found = text_in(&scratch);
  collect_texts(&found, node);
  return found.length > 0;
}

static void collect_texts(struct text *out, const struct node *node) {
  if (node == NULL) return;
  // Those of a list were written after its lines.
  if (node->kind == SIMPLE || node->kind == FUNCTION) collect_here(out, node->redirects);
  else if (node->kind == PIPELINE)
    for (struct node **stage = node->stages; *stage != NULL; stage++) collect_texts(out, *stage);
  else if (node->kind == AND || node->kind == OR || node->kind == NOT || node->kind == TIMED) {
    collect_texts(out, node->first);
    collect_texts(out, node->second);
  } else collect_here(out, node->redirects);
}

static void print_body(struct text *, const struct node *);
static void print_here(struct text *, const struct node *);

static void print_case(struct text *out, const struct node *node) {
  text_append(out, "case ");
  text_append(out, node->name);
  text_append(out, " in ");
  for (const struct case_item *item = node->items; item != NULL; item = item->next) {
    text_put(out, '(');
    for (char **pattern = item->patterns; *pattern != NULL; pattern++) {
      if (pattern != item->patterns) text_put(out, '|');
      text_append(out, *pattern);
    }
    text_append(out, ") ");
    if (item->body != NULL) print_body(out, item->body);
    text_append(out, ";;\n");
  }
  text_append(out, "esac");
}

static void print_for(struct text *out, const struct node *node) {
  text_append(out, "for ");
  text_append(out, node->name);
  if (node->words != NULL) {
    text_append(out, " in ");
    print_words(out, node->words, false);
  }
  text_append(out, "; do ");
  print_body(out, node->second);
  text_append(out, "done");
}

static void print_if(struct text *out, const struct node *node) {
  text_append(out, "if ");
  print_body(out, node->first);
  text_append(out, "then ");
  print_body(out, node->second);
  if (node->third != NULL) {
    text_append(out, "else ");
    print_body(out, node->third);
  }
  text_append(out, "fi");
}

static void print_one(struct text *out, const struct node *node) {
  switch (node->kind) {
    case SIMPLE:
      print_words(out, node->assignments, false);
      print_words(out, node->words, node->assignments[0] != NULL);
      break;
    case PIPELINE:
      for (struct node **stage = node->stages; *stage != NULL; stage++) {
        if (stage != node->stages) text_append(out, " | ");
        print_one(out, *stage);
      }
      return;
    case AND:
    case OR:
      print_one(out, node->first);
      text_append(out, node->kind == AND ? " && " : " || ");
      print_one(out, node->second);
      return;
    case NOT:
    case TIMED:
      text_append(out, node->kind == NOT ? "! " : "time ");
      print_one(out, node->first);
      return;
    case SUBSHELL:
    case BRACES:
      text_append(out, node->kind == BRACES ? "{ " : "( ");
      print_body(out, node->first);
      text_append(out, node->kind == BRACES ? "}" : ")");
      break;
    case IF:
      print_if(out, node);
      break;
    case WHILE:
    case UNTIL:
      text_append(out, node->kind == WHILE ? "while " : "until ");
      print_body(out, node->first);
      text_append(out, "do ");
      print_body(out, node->second);
      text_append(out, "done");
      break;
    case FOR:
      print_for(out, node);
      break;
    case CASE:
      print_case(out, node);
      break;
    case FUNCTION:
      text_append(out, node->name);
      text_append(out, "() ");
      print_one(out, node->first);
      return;
    case SEQUENCE:
    case BACKGROUND:
      print_body(out, node);
      return;
  }
  print_redirects(out, node->redirects);
}

/** Each command with its end. */
static void print_body(struct text *out, const struct node *node) {
  if (node->kind == SEQUENCE) {
    print_body(out, node->first);
    print_body(out, node->second);
    return;
  }
  const struct node *of = node->kind == BACKGROUND ? node->first : node;
  print_one(out, of);
  if (node->kind == BACKGROUND) text_append(out, " & ");
  else if (!has_texts(of)) text_append(out, "; ");
  print_here(out, of);
}

static void print_here(struct text *out, const struct node *node) {
  if (!has_texts(node)) return;
  text_put(out, '\n');
  collect_texts(out, node);
}

void print_node(struct text *out, const struct node *node) {
  print_body(out, node);
  if (out->length > 1 && strcmp(out->at + out->length - 2, "; ") == 0) out->at[out->length -= 2] = 0;
}
