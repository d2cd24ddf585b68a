/* What runs beside this shell: programs, and other shells. */
#ifndef SHELL_PIPELINE_H
#define SHELL_PIPELINE_H
#include "shell.h"

#define STAGES_MAX 64
#define DEPTH_MAX 64
/** The program of the process itself. */
#define SELF "/proc/self/exe"
/* Of a shell that this one starts: numbers of it come after that, and the next word has its variables and functions. */
#define FROM_ABOVE "--from="

struct started {
  /** 0: it could not be started. */
  pid_t pids[STAGES_MAX];
  /** Of those that could not. */
  int statuses[STAGES_MAX];
  int count;
  pid_t group;
};

/** @param is_here a command alone may change this shell; last_output: a descriptor, which is closed; -1: that of this shell */
int start_pipeline(struct node **stages, struct started *, bool is_here, int last_output);
int start_program(pid_t *pid, char **words, char **environment, const char *node, pid_t *group);
int start_shell(pid_t *pid, const struct node *what, const char *node, pid_t *group);
/** Says why it was not started; the status of that. */
int tell_start(const char *name, int error, const char *node);
char *path_of_program(const char *name);
/** Runs a builtin that only writes within this shell, for $( ); false: it is none. */
bool capture_builtin(const struct node *, const char *text, struct text *captured);

struct job *job_add(const struct started *, const char *text);
int job_wait(struct job *);
void job_tell_started(struct job *);
#endif
