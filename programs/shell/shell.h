/* The state of this shell, and its parts. */
#ifndef SHELL_H
#define SHELL_H
#include <stdbool.h>
#include <sys/types.h>
#include "region.h"
#include "syntax.h"

enum leaving { STAYS, BREAKS, CONTINUES, RETURNS, EXITS };

struct shell {
  int status;
  /** What a command asked for, up to who does it. */
  enum leaving leaving;
  int levels;
  int loops, calls;
  bool interactive, is_login;
  /** Children have groups of their own, and the terminal. */
  bool has_jobs;
  /** The terminal knows groups. */
  bool has_terminal;
  /** exit said with which status. */
  bool has_status;
  bool errexit, nounset, xtrace, noglob, noexec;
  /** Within a condition nothing ends by errexit. */
  int conditions;
  /** An expansion failed: the command does not run. */
  bool failed;
  const char *name;
  char **arguments;
  int argument_count;
  pid_t background;
  pid_t pid;
  int line;
  /** Shells that were started by shells. */
  int depth;
  /** A $( ) ran: its status is that of a command without words. */
  bool substituted;
  /** Ctrl-C, and what came for a trap. */
  volatile int interrupted;
};
extern struct shell shell;

/** "sh: ..." on standard error, with the line of a script; the form has no line's end. */
void complain(const char *form, ...) __attribute__((format(printf, 1, 2)));

/* variables.c */
const char *variable(const char *name);
/** False where it may not be set, which is said. */
bool set_variable(const char *name, const char *value);
bool export_variable(const char *name, const char *value);
void mark_readonly(const char *name);
void unset_variable(const char *name);
bool is_exported(const char *name);
void variables_from(char **environment);
/** Of exported ones and, before them, of these assignments (each NAME=value). */
char **environment_with(char **assignments);
void print_variables(struct text *, bool exported_only, bool readonly_only, const char *before);
/** All that another shell needs to go on: variables, functions, arguments. */
void print_state(struct text *);
void save_local(const char *name);
/** Where the locals of a function begin and end. */
size_t locals_begin(void);
void locals_end(size_t);
const char **variable_names(struct list *);

/* functions.c */
struct node *function_named(const char *name);
void define_function(const char *name, struct node *body);
void remove_function(const char *name);
void print_functions(struct text *);

/* expand.c */
char **expand_words(char *const *words);
/** One word: neither split nor a pattern. */
char *expand_text(const char *word);
/** A pattern, in which what was quoted has backslashes. */
char *expand_pattern(const char *word);
char *expand_here(const char *body);
/* parameter.c */
const char *special_parameter(const char *name, size_t length);
/* arithmetic.c */
bool arithmetic(const char *expression, long long *value);
/* paths.c */
bool has_pattern(const char *word);
void add_paths(struct list *, const char *pattern);
bool matches(const char *pattern, const char *text);
/** Without its backslashes. */
char *without_quotes(const char *pattern);

/* run.c */
int run_node(struct node *);
int run_text(const char *text, const char *name);
int run_reader(struct reader *);
/** The output of commands, for $( ). */
char *output_of(const char *text);

/* pipeline.c; more in pipeline.h */
int run_pipeline(struct node **stages, bool in_background, const struct node *whole);

/* jobs.c */
void jobs_look(bool tells);
void jobs_hang_up(void);
int builtin_jobs(char **), builtin_fg(char **), builtin_bg(char **), builtin_wait(char **), builtin_kill(char **);
int status_of(int wait_status);
bool has_stopped_jobs(void);

/* about.c */
int builtin_whoami(char **), builtin_id(char **), builtin_ulimit(char **);

/* redirect.c: of the shell itself, until they are undone. */
struct saved_stream {
  int fd, copy;
  struct saved_stream *next;
};
bool redirect_all(const struct redirect *, struct saved_stream **saved);
void redirect_undo(struct saved_stream *);

/* builtins.c */
typedef int builtin(char **words);
/** NULL: there is none of this name. */
builtin *builtin_named(const char *name);
bool is_special(const char *name);
int builtin_on(char **);
const char *const *builtin_names(void);

/* editor.c, history.c, completion.c */
/** What a builtin writes. */
void say(const char *text);

/** A line without its end, or NULL at the end of the input; errno EINTR: it was given up. */
char *edit_line(const char *prompt);
void history_load(void);
void history_add(const char *line);
int history_count(void);
const char *history_at(int);
int builtin_history(char **);

/* test.c, read.c */
int builtin_test(char **), builtin_read(char **), builtin_getopts(char **);
/** What may stand at the end of the line's first bytes, whole words; where the word begins. */
struct list completions(const char *line, size_t length, size_t *begins);
#endif
