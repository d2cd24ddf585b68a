/* sys/statfs.h: what stat -f asks. */
#ifndef ODONATA_TOYBOX_STATFS_H
#define ODONATA_TOYBOX_STATFS_H
#include <sys/types.h>
struct statfs {
  unsigned long f_type, f_bsize, f_frsize;
  unsigned long long f_blocks, f_bfree, f_bavail, f_files, f_ffree;
  struct { int __val[2]; } f_fsid;
  unsigned long f_namelen, f_flags;
};
int statfs(const char *, struct statfs *);
int fstatfs(int, struct statfs *);
#endif
