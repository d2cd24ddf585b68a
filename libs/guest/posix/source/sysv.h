/* What System V's memory and semaphores have in common. */
#ifndef SYSV_H
#define SYSV_H
#include <sys/ipc.h>
#include "inode.h"

/** The descriptor of the file of a key, with `what` in its name; -1 and errno. A private one has a name of its own. */
int sysv_open(const char *what, key_t key, int flags);
/** The file of a number, opened; its reference is the caller's. 0 or errno. */
int sysv_inode(int number, struct inode **inode);
/** Takes its name away. 0 or errno. */
int sysv_remove(int number);
#endif
