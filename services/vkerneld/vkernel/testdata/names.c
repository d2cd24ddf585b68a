// Does one call a line of standard input, raw, beneath the first grant, and prints its errno. A line: folder, call, name and
// other name, with tabs between.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <wasi/api.h>

static const __wasi_rights_t reads = __WASI_RIGHTS_FD_READ, writes = __WASI_RIGHTS_FD_WRITE;

static __wasi_errno_t open_as(__wasi_fd_t dir, const char *name, int follow, int oflags, __wasi_rights_t rights) {
  __wasi_fd_t fd;
  __wasi_errno_t error = __wasi_path_open(dir, follow, name, oflags, rights, 0, 0, &fd);
  return error != 0 ? error : __wasi_fd_close(fd);
}

static __wasi_errno_t call(__wasi_fd_t dir, const char *what, const char *name, const char *other) {
  __wasi_filestat_t st;
  uint8_t text[64];
  __wasi_size_t used;
  if (!strcmp(what, "open")) return open_as(dir, name, 1, 0, reads);
  if (!strcmp(what, "open-nofollow")) return open_as(dir, name, 0, 0, reads);
  if (!strcmp(what, "open-write")) return open_as(dir, name, 1, 0, writes);
  if (!strcmp(what, "open-directory")) return open_as(dir, name, 1, __WASI_OFLAGS_DIRECTORY, reads);
  if (!strcmp(what, "open-directory-nofollow")) return open_as(dir, name, 0, __WASI_OFLAGS_DIRECTORY, reads);
  if (!strcmp(what, "open-directory-write")) return open_as(dir, name, 1, __WASI_OFLAGS_DIRECTORY, reads | writes);
  if (!strcmp(what, "create")) return open_as(dir, name, 1, __WASI_OFLAGS_CREAT, writes);
  if (!strcmp(what, "create-nofollow")) return open_as(dir, name, 0, __WASI_OFLAGS_CREAT, writes);
  if (!strcmp(what, "create-new")) return open_as(dir, name, 1, __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, writes);
  if (!strcmp(what, "truncate")) return open_as(dir, name, 1, __WASI_OFLAGS_TRUNC, writes);
  if (!strcmp(what, "stat")) return __wasi_path_filestat_get(dir, 1, name, &st);
  if (!strcmp(what, "lstat")) return __wasi_path_filestat_get(dir, 0, name, &st);
  if (!strcmp(what, "mkdir")) return __wasi_path_create_directory(dir, name);
  if (!strcmp(what, "rmdir")) return __wasi_path_remove_directory(dir, name);
  if (!strcmp(what, "unlink")) return __wasi_path_unlink_file(dir, name);
  if (!strcmp(what, "readlink")) return __wasi_path_readlink(dir, name, text, sizeof text, &used);
  if (!strcmp(what, "symlink")) return __wasi_path_symlink(other, dir, name);
  if (!strcmp(what, "rename")) return __wasi_path_rename(dir, name, dir, other);
  if (!strcmp(what, "link")) return __wasi_path_link(dir, 0, name, dir, other);
  if (!strcmp(what, "utimes")) return __wasi_path_filestat_set_times(dir, 1, name, 5, 6, 5);
  if (!strcmp(what, "lutimes")) return __wasi_path_filestat_set_times(dir, 0, name, 5, 6, 5);
  return 1000;
}

int main(void) {
  static char line[20000];
  while (fgets(line, sizeof line, stdin)) {
    char *words[4], *at = line;
    line[strcspn(line, "\n")] = 0;
    for (int i = 0; i < 4; i++) {
      words[i] = at;
      at += strcspn(at, "\t");
      if (*at) *at++ = 0;
    }
    __wasi_fd_t dir;
    if (__wasi_path_open(3, 0, words[0], __WASI_OFLAGS_DIRECTORY, reads, ~0ull, 0, &dir) != 0) return 2;
    printf("%d\n", call(dir, words[1], words[2], words[3]));
    if (__wasi_fd_close(dir) != 0) return 2;
  }
  return 0;
}
