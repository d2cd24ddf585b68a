// Tries to leave the directory /data; prints what each attempt gave.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char *what, long result) {
  printf("%s: %s\n", what, result < 0 ? strerror(errno) : "ALLOWED");
}

int main(void) {
  struct stat st;
  static const char *const paths[] = {"/data/../secret",      "/data/in/../../secret", "/data/absolute",
                                      "/data/absolute-dir/x", "/data/up",              "/data/up-dir/secret",
                                      "/data/twice",          "/secret",               "/etc/passwd",
                                      "/data/in/deep/../../../secret"};
  for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
    printf("%s\n", paths[i]);
    say(" open", open(paths[i], O_RDONLY));
    say(" create", open(paths[i], O_WRONLY | O_CREAT, 0644));
    say(" stat", stat(paths[i], &st));
    say(" mkdir", mkdir(paths[i], 0755));
    // A link in the directory may be replaced: it is the program's own.
    if (i != 2 && i != 4 && i != 6) say(" rename", rename("/data/mine", paths[i]));
  }
  // Through descriptors, past the C library's own checks of paths.
  int dir = open("/data/in", O_RDONLY | O_DIRECTORY);
  say("openat ..", openat(dir, "../../secret", O_RDONLY));
  say("openat one up", openat(dir, "../mine", O_RDONLY));
  say("openat absolute", openat(dir, "/etc/passwd", O_RDONLY));
  say("linkat", linkat(dir, "../../secret", dir, "stolen", 0));
  say("symlink absolute", symlink("/etc/passwd", "/data/new"));
  return 0;
}
