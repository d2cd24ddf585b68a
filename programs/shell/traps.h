/* What is done when a signal comes, or the shell ends. */
#ifndef SHELL_TRAPS_H
#define SHELL_TRAPS_H
int builtin_trap(char **words);
/** Those that came meanwhile. */
void run_traps(void);
void run_exit_trap(void);
void catch_signals(void);
int signal_by_name(const char *name);
#endif
