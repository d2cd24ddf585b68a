/* What programs ask for on their way, and hear that there is none of: other users. And temporary files. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "errors.h"

struct passwd *getpwuid(uid_t uid) {
  (void)uid;
  return NULL;
}

struct passwd *getpwnam(const char *name) {
  (void)name;
  return NULL;
}

struct group *getgrgid(gid_t gid) {
  (void)gid;
  return NULL;
}

struct group *getgrnam(const char *name) {
  (void)name;
  return NULL;
}

int mkstemp(char *name) {
  size_t length = strlen(name);
  if (length < 6 || strcmp(name + length - 6, "XXXXXX") != 0) return fail(EINVAL);
  for (int tries = 0; tries < 100; tries++) {
    unsigned char random[6];
    if (getentropy(random, sizeof random) < 0) return -1;
    for (int i = 0; i < 6; i++) name[length - 6 + i] = (char)('a' + random[i] % 26);
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return fail(EEXIST);
}
