// /data is granted without writes: prints what it holds, and how many attempts to change it were not refused so.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int writes;

static void refused(const char *what, int result) {
  if (result < 0 && errno == EROFS) return;
  writes++;
  printf("%s: %d, errno %d\n", what, result, errno);
}

int main(void) {
  char text[8] = {0};
  int fd = open("/data/file", O_RDONLY | O_CREAT, 0644); // it is there: nothing to create
  read(fd, text, 4);
  printf("%s\n", text);
  if (write(fd, "x", 1) >= 0) writes++;
  refused("times", futimens(fd, NULL));
  if (ftruncate(fd, 0) >= 0) writes++;
  refused("open", open("/data/file", O_RDWR));
  refused("open through a link", open("/data/link", O_WRONLY));
  refused("truncate", open("/data/file", O_RDONLY | O_TRUNC));
  refused("create", open("/data/new", O_RDONLY | O_CREAT, 0644));
  refused("create in dir", open("/data/dir/new", O_WRONLY | O_CREAT, 0644));
  refused("mkdir", mkdir("/data/new", 0755));
  refused("rmdir", rmdir("/data/dir"));
  refused("unlink", unlink("/data/file"));
  refused("rename", rename("/data/file", "/data/file2"));
  refused("rename out", rename("/data/file", "/other/file"));
  close(open("/other/own", O_WRONLY | O_CREAT, 0644));
  refused("rename in", rename("/other/own", "/data/own"));
  refused("link out", link("/data/file", "/other/file"));
  refused("symlink", symlink("file", "/data/new"));
  refused("times", utimensat(AT_FDCWD, "/data/file", NULL, 0));
  int dir = open("/data/dir", O_RDONLY | O_DIRECTORY);
  refused("openat", openat(dir, "new", O_WRONLY | O_CREAT, 0644));
  errno = 0;
  if (open("/data/none", O_RDWR) >= 0 || errno != ENOENT) writes++;
  printf("%d writes\n", writes);
  return 0;
}
