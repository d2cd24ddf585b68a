/* Which descriptors a child does not get. */
#ifndef PIPES_H
#define PIPES_H
#include <stdbool.h>

bool closes_on_exec(int fd);
void set_closes_on_exec(int fd, bool on);
#endif
