/* What toybox takes from Linux and wasi-libc has not, before all else; programs/README.md. */
#ifndef ODONATA_TOYBOX_H
#define ODONATA_TOYBOX_H
#include <signal.h>
#include <spawn.h>

/** A command found by PATH, or by its path. An errno. */
int odonata_spawn_command(pid_t *, char **, const posix_spawn_file_actions_t *);
void tzset(void);
#define BLKGETSIZE64 0
#define TIOCNOTTY 0x5422
#endif
