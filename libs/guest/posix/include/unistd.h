/* unistd.h: getpid gives the pid of the cluster, lockf locks files of /shared. */
#ifndef ODONATA_POSIX_UNISTD_H
#define ODONATA_POSIX_UNISTD_H
#ifndef _WASI_EMULATED_GETPID
#define _WASI_EMULATED_GETPID
#endif
#include_next <unistd.h>
#define __NEED_pid_t
#include <bits/alltypes.h>
#ifdef __cplusplus
extern "C" {
#endif

int lockf(int, int, off_t);
int getpagesize(void);
/** There is one user, and it has number 0: a program that asks wants to know whose files it may touch. */
uid_t getuid(void);
uid_t geteuid(void);
gid_t getgid(void);
gid_t getegid(void);
int fchown(int, uid_t, gid_t);
pid_t getppid(void);
pid_t getpgrp(void);
pid_t getpgid(pid_t);
int setpgid(pid_t, pid_t);
pid_t getsid(pid_t);
pid_t setsid(void);
pid_t tcgetpgrp(int);
int tcsetpgrp(int, pid_t);
char *ttyname(int);
char *ctermid(char *);
int pause(void);
int pipe(int[2]);
int pipe2(int[2], int);
int dup(int);
int dup2(int, int);
int dup3(int, int, int);

#ifdef __cplusplus
}
#endif
#endif
