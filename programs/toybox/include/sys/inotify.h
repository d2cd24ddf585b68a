/* sys/inotify.h: files do not tell when they change. */
#ifndef ODONATA_TOYBOX_INOTIFY_H
#define ODONATA_TOYBOX_INOTIFY_H
#include <stdint.h>
struct inotify_event {
  int wd;
  uint32_t mask, cookie, len;
  char name[];
};
#define IN_MODIFY 2
int inotify_init(void);
int inotify_init1(int);
int inotify_add_watch(int, const char *, uint32_t);
int inotify_rm_watch(int, int);
#endif
