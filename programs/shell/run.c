/* Runs commands. What leaves (break, return, exit) is a state that everyone on the way up looks at. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "pipeline.h"
#include "traps.h"

/** Functions and sourced files within each other. */
#define CALLS_MAX 200

static int run_assignments(char **assignments, bool exports) {
  for (; *assignments != NULL && !shell.failed; assignments++) {
    size_t length = assignment(*assignments);
    char *name = region_text(&scratch, *assignments, length);
    char *value = expand_text(*assignments + length + 1);
    if (shell.failed) break;
    if (shell.xtrace) complain("+ %s=%s", name, value);
    if (exports) export_variable(name, value);
    else set_variable(name, value);
  }
  return shell.failed ? 1 : 0;
}

static int call_function(struct node *body, char **words) {
  if (shell.calls >= CALLS_MAX) {
    complain("%s: functions within functions, more than %d deep", words[0], CALLS_MAX);
    return 2;
  }
  char **arguments = shell.arguments;
  int count = shell.argument_count, loops = shell.loops;
  size_t locals = locals_begin();
  shell.arguments = words + 1;
  for (shell.argument_count = 0; words[shell.argument_count + 1] != NULL;) shell.argument_count++;
  shell.calls++;
  shell.loops = 0;
  int status = run_node(body);
  if (shell.leaving == RETURNS) {
    shell.leaving = STAYS;
    status = shell.status;
  }
  shell.loops = loops;
  shell.calls--;
  locals_end(locals);
  shell.arguments = arguments;
  shell.argument_count = count;
  return status;
}

static void trace(char **words) {
  struct text text = text_in(&scratch);
  for (; *words != NULL; words++) {
    text_put(&text, ' ');
    print_quoted(&text, *words);
  }
  dprintf(2, "+%s\n", text.at);
}

static int run_program(struct node *node) {
  struct node *stages[] = { node, NULL };
  return run_pipeline(stages, false, node);
}

/** A builtin, a function, or assignments alone, with redirections. */
static int run_here(struct node *node, char **words, builtin *run, struct node *function) {
  struct saved_stream *saved = NULL;
  bool keeps = words[0] != NULL && strcmp(words[0], "exec") == 0 && words[1] == NULL;
  int status = 0;
  if (!redirect_all(node->redirects, keeps ? NULL : &saved)) {
    redirect_undo(saved);
    bool failed = shell.failed;
    shell.failed = false;
    if ((failed || (words[0] != NULL && is_special(words[0]))) && !shell.interactive) shell.leaving = EXITS;
    return failed ? 2 : 1;
  }
  bool stays = words[0] == NULL || node->assignments[0] == NULL || (function == NULL && is_special(words[0]));
  size_t locals = locals_begin();
  if (!stays)
    for (char **each = node->assignments; *each != NULL; each++) save_local(region_text(&scratch, *each, assignment(*each)));
  status = run_assignments(node->assignments, !stays);
  if (!shell.failed) {
    if (words[0] == NULL) status = shell.substituted ? shell.status : 0;
    else if (function != NULL) status = call_function(function, words);
    else status = run(words);
  }
  if (!stays) locals_end(locals);
  redirect_undo(saved);
  return status;
}

static int run_simple(struct node *node) {
  shell.line = node->line;
  shell.substituted = false;
  char **words = expand_words(node->words);
  int status = 1;
  if (!shell.failed) {
    if (shell.xtrace && words[0] != NULL) trace(words);
    struct node *function = words[0] == NULL || is_special(words[0]) ? NULL : function_named(words[0]);
    builtin *run = words[0] == NULL || function != NULL ? NULL : builtin_named(words[0]);
    bool is_elsewhere = run == builtin_on && words[1] != NULL && words[2] != NULL;
    if (!is_elsewhere && (words[0] == NULL || run != NULL || function != NULL)) status = run_here(node, words, run, function);
    else status = run_program(node);
  }
  if (shell.failed) {
    shell.failed = false;
    status = 2;
    if (!shell.interactive) shell.leaving = EXITS;
  }
  return status;
}

static int run_condition(struct node *node) {
  shell.conditions++;
  int status = run_node(node);
  shell.conditions--;
  return status;
}

/** After a turn of a loop; true: it is over. */
static bool leaves_loop(void) {
  if (shell.leaving == STAYS) return false;
  if (shell.leaving != BREAKS && shell.leaving != CONTINUES) return true;
  if (--shell.levels > 0) return true;
  bool breaks = shell.leaving == BREAKS;
  shell.leaving = STAYS;
  return breaks;
}

static int run_loop(struct node *node) {
  int status = 0;
  shell.loops++;
  while (!shell.interrupted) {
    struct mark mark = region_mark(&scratch);
    int condition = run_condition(node->first);
    bool over = shell.leaving != STAYS ? leaves_loop() : (condition == 0) != (node->kind == WHILE);
    if (!over && shell.leaving == STAYS && (condition == 0) == (node->kind == WHILE)) {
      status = run_node(node->second);
      over = leaves_loop();
    }
    region_release(&scratch, mark);
    if (over) break;
  }
  shell.loops--;
  return status;
}

static int run_for(struct node *node) {
  char **words = node->words == NULL ? shell.arguments : expand_words(node->words);
  int status = 0;
  if (shell.failed) return 1;
  // The arguments may be others before it ends.
  struct list all = list_in(&scratch);
  for (; words != NULL && *words != NULL; words++) list_add(&all, region_text(&scratch, *words, strlen(*words)));
  shell.loops++;
  for (char **word = all.at; *word != NULL && !shell.interrupted; word++) {
    if (!set_variable(node->name, *word)) break;
    status = run_node(node->second);
    if (leaves_loop()) break;
  }
  shell.loops--;
  return status;
}

static int run_case(struct node *node) {
  char *word = expand_text(node->name);
  for (struct case_item *item = node->items; item != NULL && !shell.failed; item = item->next)
    for (char **pattern = item->patterns; *pattern != NULL && !shell.failed; pattern++) {
      char *expanded = expand_pattern(*pattern);
      if (!shell.failed && matches(expanded, word)) return item->body == NULL ? 0 : run_node(item->body);
    }
  return shell.failed ? 1 : 0;
}

static int run_compound(struct node *node) {
  switch (node->kind) {
    case BRACES:
      return run_node(node->first);
    case IF:
      if (run_condition(node->first) == 0) return shell.leaving == STAYS ? run_node(node->second) : shell.status;
      if (shell.leaving != STAYS) return shell.status;
      return node->third == NULL ? 0 : run_node(node->third);
    case WHILE:
    case UNTIL:
      return run_loop(node);
    case FOR:
      return run_for(node);
    case CASE:
      return run_case(node);
    default:
      return 0;
  }
}

static int run_redirected(struct node *node) {
  struct saved_stream *saved = NULL;
  int status = redirect_all(node->redirects, &saved) ? run_compound(node) : 1;
  redirect_undo(saved);
  if (shell.failed) {
    shell.failed = false;
    status = 2;
    if (!shell.interactive) shell.leaving = EXITS;
  }
  return status;
}

static bool checks_errors(const struct node *node) {
  return node->kind == SIMPLE || node->kind == PIPELINE || node->kind == SUBSHELL;
}

/** By the clock alone: what processors did is in /proc and ps. */
static int run_timed(struct node *node) {
  struct timespec began, ended;
  clock_gettime(CLOCK_MONOTONIC, &began);
  int status = run_node(node);
  clock_gettime(CLOCK_MONOTONIC, &ended);
  fprintf(stderr, "real %.2f\n", (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9);
  return status;
}

static int run_kind(struct node *node) {
  struct node *stages[] = { node, NULL };
  int status;
  switch (node->kind) {
    case SIMPLE:
      return run_simple(node);
    case PIPELINE:
      return run_pipeline(node->stages, false, node);
    case SUBSHELL:
      return run_pipeline(stages, false, node);
    case BACKGROUND: {
      struct node *of[] = { node->first, NULL };
      return run_pipeline(node->first->kind == PIPELINE ? node->first->stages : of, true, node->first);
    }
    case AND:
    case OR:
      status = run_condition(node->first);
      if (shell.leaving != STAYS || (status == 0) != (node->kind == AND)) return status;
      return run_node(node->second);
    case NOT:
      status = run_condition(node->first);
      return shell.leaving != STAYS ? status : status == 0;
    case TIMED:
      return run_timed(node->first);
    case SEQUENCE:
      status = run_node(node->first);
      return shell.leaving != STAYS || shell.interrupted ? status : run_node(node->second);
    case FUNCTION:
      define_function(node->name, node->first);
      return 0;
    default:
      return run_redirected(node);
  }
}

int run_node(struct node *node) {
  if (shell.leaving != STAYS) return shell.status;
  struct mark mark = region_mark(&scratch);
  int status = run_kind(node);
  // What leaves has said its status.
  if (shell.leaving != RETURNS && !(shell.leaving == EXITS && shell.has_status)) shell.status = status;
  if (shell.errexit && checks_errors(node) && status != 0 && shell.conditions == 0 && shell.leaving == STAYS) {
    shell.leaving = EXITS;
    shell.has_status = true;
  }
  region_release(&scratch, mark);
  run_traps();
  return shell.status;
}

int run_reader(struct reader *reader) {
  while (!reader->at_end && shell.leaving == STAYS) {
    struct node *node = parse_line(reader);
    shell.line = reader->line;
    if (reader->failed) {
      complain("%s", reader->error);
      shell.status = 2;
      if (!shell.interactive || reader->more == NULL) {
        if (!shell.interactive) shell.leaving = EXITS;
        break;
      }
      // The rest of what was typed is no command.
      reader->at = reader->length;
      reader->failed = reader->known.is_there = reader->incomplete = false;
      reader->pending_count = 0;
    } else if (node != NULL && !shell.noexec) {
      run_node(node);
      if (shell.interrupted && shell.interactive) {
        shell.interrupted = 0;
        shell.status = 130;
      }
    }
    // Functions are what was read.
    if (!reader->keeps) {
      region_free(&reader->region);
      reader->known.is_there = false;
    } else reader->region.last = NULL;
    reader->keeps = false;
  }
  return shell.status;
}

int run_text(const char *text, const char *name) {
  struct reader reader = reader_of_text(text, name);
  int line = shell.line;
  run_reader(&reader);
  shell.line = line;
  return shell.status;
}
