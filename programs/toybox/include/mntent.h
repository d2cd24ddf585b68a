/* mntent.h: the mounts, as /proc/mounts has them. */
#ifndef ODONATA_TOYBOX_MNTENT_H
#define ODONATA_TOYBOX_MNTENT_H
#include <stdio.h>
struct mntent {
  char *mnt_fsname, *mnt_dir, *mnt_type, *mnt_opts;
  int mnt_freq, mnt_passno;
};
FILE *setmntent(const char *, const char *);
struct mntent *getmntent(FILE *);
int endmntent(FILE *);
#endif
