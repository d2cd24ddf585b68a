// Calls WASI without the C library in between and prints what is not as it should be. The first granted directory is
// descriptor 3; it may be written.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>

static int failures;

static void expect(const char *what, long long got, long long wanted) {
  if (got == wanted) return;
  failures++;
  printf("%s: %lld, not %lld\n", what, got, wanted);
}

#define RAW(name, ...) \
  __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) int32_t raw_##name(__VA_ARGS__)
RAW(fd_write, int32_t, int32_t, int32_t, int32_t);
RAW(fd_prestat_dir_name, int32_t, int32_t, int32_t);
RAW(random_get, int32_t, int32_t);
RAW(clock_time_get, int32_t, int64_t, int32_t);
RAW(sock_shutdown, int32_t, int32_t);
RAW(sock_accept, int32_t, int32_t, int32_t);
RAW(sock_recv, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t);
RAW(sock_send, int32_t, int32_t, int32_t, int32_t, int32_t);
RAW(path_open, int32_t, int32_t, int32_t, int32_t, int32_t, int64_t, int64_t, int32_t, int32_t);
RAW(poll_oneoff, int32_t, int32_t, int32_t, int32_t);

static const __wasi_rights_t all = (1 << 29) - 1;
/** Who asks for a directory with the right to write is told that it is one. */
static const __wasi_rights_t all_of_directory = all & ~__WASI_RIGHTS_FD_WRITE;

static __wasi_fd_t open_at(__wasi_fd_t dir, const char *path, __wasi_oflags_t oflags, __wasi_fdflags_t flags) {
  __wasi_fd_t fd = 0;
  __wasi_rights_t rights = oflags & __WASI_OFLAGS_DIRECTORY ? all_of_directory : all;
  expect(path, __wasi_path_open(dir, 1, path, oflags, rights, all, flags, &fd), 0);
  return fd;
}

static void readdir_cookies(void) {
  expect("mkdir", __wasi_path_create_directory(3, "many"), 0);
  char name[32];
  for (int i = 0; i < 40; i++) {
    snprintf(name, sizeof name, "many/%02d", i);
    expect("close", __wasi_fd_close(open_at(3, name, __WASI_OFLAGS_CREAT, 0)), 0);
  }
  __wasi_fd_t dir = open_at(3, "many", __WASI_OFLAGS_DIRECTORY, 0);
  int seen[40] = {0}, dots = 0;
  uint8_t buffer[100];
  uint64_t cookie = 0;
  for (int rounds = 0; rounds < 100; rounds++) {
    __wasi_size_t used;
    expect("readdir", __wasi_fd_readdir(dir, buffer, sizeof buffer, cookie, &used), 0);
    size_t at = 0;
    while (at + sizeof(__wasi_dirent_t) <= used) {
      __wasi_dirent_t entry;
      memcpy(&entry, buffer + at, sizeof entry);
      if (at + sizeof entry + entry.d_namlen > used) break; // cut off: comes again
      const uint8_t *text = buffer + at + sizeof entry;
      if (text[0] == '.') dots++, expect("type", entry.d_type, __WASI_FILETYPE_DIRECTORY);
      else {
        seen[(text[0] - '0') * 10 + text[1] - '0']++;
        expect("type", entry.d_type, __WASI_FILETYPE_REGULAR_FILE);
        expect("inode", entry.d_ino != 0, 1);
      }
      cookie = entry.d_next;
      at += sizeof entry + entry.d_namlen;
    }
    if (used < sizeof buffer) break;
  }
  for (int i = 0; i < 40; i++) expect("seen", seen[i], 1);
  expect("dots", dots, 2);
  __wasi_size_t used;
  expect("past the end", __wasi_fd_readdir(dir, buffer, sizeof buffer, 1000, &used), 0);
  expect("past the end", used, 0);
  expect("readdir of file", __wasi_fd_readdir(1, buffer, sizeof buffer, 0, &used), __WASI_ERRNO_NOTDIR);
  expect("seek of dir", __wasi_fd_seek(dir, 0, 0, &cookie), __WASI_ERRNO_BADF);
  __wasi_iovec_t vec = {buffer, 1};
  expect("read of dir", __wasi_fd_read(dir, &vec, 1, &used), __WASI_ERRNO_ISDIR);
  expect("close", __wasi_fd_close(dir), 0);
}

static void renumber(void) {
  __wasi_fd_t a = open_at(3, "a", __WASI_OFLAGS_CREAT, 0), b = open_at(3, "b", __WASI_OFLAGS_CREAT, 0);
  __wasi_size_t n;
  __wasi_ciovec_t text = {(const uint8_t *)"to a", 4};
  expect("renumber", __wasi_fd_renumber(a, b), 0);
  expect("old", __wasi_fd_write(a, &text, 1, &n), __WASI_ERRNO_BADF);
  expect("new", __wasi_fd_write(b, &text, 1, &n), 0);
  expect("nowhere", __wasi_fd_renumber(b, 200), __WASI_ERRNO_BADF);
  expect("nothing", __wasi_fd_renumber(200, b), __WASI_ERRNO_BADF);
  expect("itself", __wasi_fd_renumber(b, b), 0);
  __wasi_filestat_t st;
  expect("stat", __wasi_path_filestat_get(3, 0, "a", &st), 0);
  expect("size", st.size, 4);
  expect("lowest is free again", open_at(3, "b", 0, 0), a);
  expect("allocate", __wasi_fd_allocate(b, 100, 50), 0);
  expect("stat", __wasi_fd_filestat_get(b, &st), 0);
  expect("size", st.size, 150);
  expect("set size", __wasi_fd_filestat_set_size(b, 3), 0);
  expect("advise", __wasi_fd_advise(b, 0, 10, __WASI_ADVICE_WILLNEED), 0);
  expect("advise", __wasi_fd_advise(b, 0, 10, 77), __WASI_ERRNO_INVAL);
  expect("sync", __wasi_fd_sync(b), 0);
  expect("datasync", __wasi_fd_datasync(b), 0);
  __wasi_filesize_t at;
  expect("tell", __wasi_fd_tell(b, &at), 0);
  expect("tell", at, 4);
  expect("whence", __wasi_fd_seek(b, 0, 3, &at), __WASI_ERRNO_INVAL);
  expect("pwrite beyond", __wasi_fd_pwrite(b, &text, 1, 1ull << 62, &n), __WASI_ERRNO_FBIG);
  expect("close", __wasi_fd_close(a), 0);
  expect("close", __wasi_fd_close(b), 0);
  expect("close", __wasi_fd_close(b), __WASI_ERRNO_BADF);
}

static void times_and_rights(void) {
  __wasi_fd_t a = open_at(3, "a", 0, 0);
  __wasi_filestat_t st;
  expect("set", __wasi_fd_filestat_set_times(a, 1000000001, 2000000000000000003, 1 | 4), 0);
  expect("stat", __wasi_fd_filestat_get(a, &st), 0);
  expect("atim", st.atim, 1000000001);
  expect("mtim", st.mtim, 2000000000000000003);
  expect("only one", __wasi_path_filestat_set_times(3, 0, "a", 5, 6, 1), 0);
  expect("stat", __wasi_path_filestat_get(3, 0, "a", &st), 0);
  expect("atim", st.atim, 5);
  expect("mtim", st.mtim, 2000000000000000003);
  expect("now", __wasi_path_filestat_set_times(3, 0, "a", 5, 6, 8), 0);
  expect("stat", __wasi_path_filestat_get(3, 0, "a", &st), 0);
  expect("mtim", st.mtim < 2000000000000000003, 1);
  expect("both", __wasi_path_filestat_set_times(3, 0, "a", 5, 6, 1 | 2), __WASI_ERRNO_INVAL);
  __wasi_fdstat_t fds;
  expect("fdstat", __wasi_fd_fdstat_get(a, &fds), 0);
  expect("type", fds.fs_filetype, __WASI_FILETYPE_REGULAR_FILE);
  expect("writes", (fds.fs_rights_base & __WASI_RIGHTS_FD_WRITE) != 0, 1);
  expect("append", __wasi_fd_fdstat_set_flags(a, __WASI_FDFLAGS_APPEND), 0);
  expect("fdstat", __wasi_fd_fdstat_get(a, &fds), 0);
  expect("flags", fds.fs_flags, __WASI_FDFLAGS_APPEND);
  expect("less", __wasi_fd_fdstat_set_rights(a, __WASI_RIGHTS_FD_READ, 0), 0);
  expect("more", __wasi_fd_fdstat_set_rights(a, all, 0), __WASI_ERRNO_NOTCAPABLE);
  __wasi_size_t n;
  __wasi_ciovec_t text = {(const uint8_t *)"x", 1};
  expect("no right", __wasi_fd_write(a, &text, 1, &n), __WASI_ERRNO_BADF);
  expect("close", __wasi_fd_close(a), 0);
  expect("fdstat", __wasi_fd_fdstat_get(1, &fds), 0);
  expect("a terminal can not seek", (fds.fs_rights_base & __WASI_RIGHTS_FD_SEEK) != 0, 0);
}

static void paths(void) {
  __wasi_fd_t fd;
  expect("empty", __wasi_path_open(3, 0, "", 0, all, all, 0, &fd), __WASI_ERRNO_NOENT);
  expect("slash", __wasi_path_open(3, 0, "a/", 0, all, all, 0, &fd), __WASI_ERRNO_NOTDIR);
  expect("not dir", __wasi_path_open(3, 0, "a/b", 0, all, all, 0, &fd), __WASI_ERRNO_NOTDIR);
  expect("not a dir fd", __wasi_path_open(1, 0, "a", 0, all, all, 0, &fd), __WASI_ERRNO_NOTDIR);
  expect("no fd", __wasi_path_open(99, 0, "a", 0, all, all, 0, &fd), __WASI_ERRNO_BADF);
  expect("up", __wasi_path_open(3, 0, "..", 0, all, all, 0, &fd), __WASI_ERRNO_NOTCAPABLE);
  expect("odd flags", __wasi_path_open(3, 0, "a", 64, all, all, 0, &fd), __WASI_ERRNO_INVAL);
  expect("dir to create", __wasi_path_open(3, 0, "a", 3, all, all, 0, &fd), __WASI_ERRNO_INVAL);
  expect("create dir", __wasi_path_open(3, 0, "x/", 1, all, all, 0, &fd), __WASI_ERRNO_ISDIR);
  char name[300];
  memset(name, 'n', 299), name[299] = 0;
  expect("long", __wasi_path_open(3, 0, name, 1, all, all, 0, &fd), __WASI_ERRNO_NAMETOOLONG);
  expect("bytes", __wasi_path_open(3, 0, "\xff\xfe", 1, all, all, 0, &fd), 0);
  expect("close", __wasi_fd_close(fd), 0);
  expect("nul", raw_path_open(3, 0, (int32_t) "a\0b", 3, 0, 0, 0, 0, (int32_t)&fd), __WASI_ERRNO_INVAL);
  expect("dot", __wasi_path_open(3, 0, "many/.././.", 2, all_of_directory, all, 0, &fd), 0);
  expect("close", __wasi_fd_close(fd), 0);
  expect("mkdir dot", __wasi_path_create_directory(3, "."), __WASI_ERRNO_EXIST);
  expect("rmdir dot", __wasi_path_remove_directory(3, "many/."), __WASI_ERRNO_INVAL);
  expect("mkdir slash", __wasi_path_create_directory(3, "new//"), 0);
  expect("unlink slash", __wasi_path_unlink_file(3, "a/"), __WASI_ERRNO_NOTDIR);
  expect("rename onto", __wasi_path_rename(3, "a", 3, "new"), __WASI_ERRNO_ISDIR);
  expect("rename dir", __wasi_path_rename(3, "new/", 3, "newer/"), 0);
  expect("symlink", __wasi_path_symlink("newer", 3, "link"), 0);
  expect("symlink", __wasi_path_symlink("nothing", 3, "dangling"), 0);
  expect("dangling", __wasi_path_open(3, 1, "dangling", 0, all, all, 0, &fd), __WASI_ERRNO_NOENT);
  expect("exclusive", __wasi_path_open(3, 1, "dangling", 5, all, all, 0, &fd), __WASI_ERRNO_EXIST);
  expect("creates the target", __wasi_path_open(3, 1, "dangling", 1, all, all, 0, &fd), 0);
  expect("close", __wasi_fd_close(fd), 0);
  __wasi_filestat_t st;
  expect("target", __wasi_path_filestat_get(3, 0, "nothing", &st), 0);
  expect("not followed", __wasi_path_filestat_get(3, 0, "link", &st), 0);
  expect("type", st.filetype, __WASI_FILETYPE_SYMBOLIC_LINK);
  expect("followed by slash", __wasi_path_filestat_get(3, 0, "link/", &st), 0);
  expect("type", st.filetype, __WASI_FILETYPE_DIRECTORY);
  expect("dir nofollow", __wasi_path_open(3, 0, "link", 2, all_of_directory, all, 0, &fd), __WASI_ERRNO_LOOP);
  expect("dir follow", __wasi_path_open(3, 1, "link", 2, all_of_directory, all, 0, &fd), 0);
  expect("close", __wasi_fd_close(fd), 0);
  uint8_t text[3];
  __wasi_size_t used;
  expect("readlink short", __wasi_path_readlink(3, "link", text, 3, &used), 0);
  expect("readlink short", used, 3);
  expect("link follow", __wasi_path_link(3, 1, "dangling", 3, "hard"), 0);
  expect("type", __wasi_path_filestat_get(3, 0, "hard", &st), 0);
  expect("type", st.filetype, __WASI_FILETYPE_REGULAR_FILE);
  expect("absolute", __wasi_path_symlink("/etc", 3, "abs"), __WASI_ERRNO_PERM);
}

static void addresses(void) {
  int32_t wild = (int32_t)0xfffffff0;
  expect("args", raw_fd_write(1, wild, 1, 0), __WASI_ERRNO_FAULT);
  int32_t vec[2] = {wild, 100};
  expect("slice", raw_fd_write(1, (int32_t)vec, 1, 64), __WASI_ERRNO_FAULT);
  expect("random", raw_random_get(16, 0x7fffffff), __WASI_ERRNO_FAULT);
  expect("clock", raw_clock_time_get(0, 0, wild), __WASI_ERRNO_FAULT);
  expect("no clock", raw_clock_time_get(9, 0, 64), __WASI_ERRNO_INVAL);
  expect("name", raw_fd_prestat_dir_name(3, 64, 1), __WASI_ERRNO_NAMETOOLONG);
  expect("path", raw_path_open(3, 0, wild, 100, 0, 0, 0, 0, 64), __WASI_ERRNO_FAULT);
}

static uint64_t now(__wasi_clockid_t clock) {
  __wasi_timestamp_t t;
  expect("clock", __wasi_clock_time_get(clock, 1, &t), 0);
  return t;
}

static void polls(void) {
  __wasi_subscription_t subs[3] = {0};
  __wasi_event_t events[3];
  __wasi_size_t n;
  expect("none", __wasi_poll_oneoff(subs, events, 0, &n), __WASI_ERRNO_INVAL);
  for (int absolute = 0; absolute < 2; absolute++) {
    for (int clock = 0; clock < 2; clock++) {
      uint64_t start = now(clock);
      subs[0].userdata = 7;
      subs[0].u.tag = __WASI_EVENTTYPE_CLOCK;
      subs[0].u.u.clock.id = clock;
      subs[0].u.u.clock.timeout = 20000000 + (absolute ? start : 0);
      subs[0].u.u.clock.flags = absolute;
      subs[1] = subs[0];
      subs[1].userdata = 8;
      subs[1].u.u.clock.timeout += 5000000000;
      expect("poll", __wasi_poll_oneoff(subs, events, 2, &n), 0);
      expect("one", n, 1);
      expect("which", events[0].userdata, 7);
      expect("when", now(clock) - start >= 20000000, 1);
      expect("soon", now(clock) - start < 1000000000, 1);
    }
  }
  subs[0].u.u.clock.timeout += 5000000000; // absolute, and still to come
  __wasi_fd_t file = open_at(3, "hundred", __WASI_OFLAGS_CREAT, 0);
  expect("size", __wasi_fd_filestat_set_size(file, 100), 0);
  subs[1].u.tag = __WASI_EVENTTYPE_FD_READ;
  subs[1].u.u.fd_read.file_descriptor = file;
  subs[2].userdata = 9;
  subs[2].u.tag = __WASI_EVENTTYPE_FD_WRITE;
  subs[2].u.u.fd_write.file_descriptor = 55;
  expect("poll", __wasi_poll_oneoff(subs, events, 3, &n), 0);
  expect("both", n, 2);
  expect("file", events[0].fd_readwrite.nbytes, 100);
  expect("bad", events[1].error, __WASI_ERRNO_BADF);
  expect("close", __wasi_fd_close(file), 0);
}

static void sockets(void) {
  static const int32_t fds[] = {0, 1, 2, 3, 77, -1};
  __wasi_fd_t file = open_at(3, "no-socket", __WASI_OFLAGS_CREAT, 0);
  for (int i = 0; i < 7; i++) {
    int32_t fd = i < 6 ? fds[i] : (int32_t)file;
    int32_t wanted = fd == 77 || fd == -1 ? __WASI_ERRNO_BADF : __WASI_ERRNO_NOTSOCK;
    expect("shutdown", raw_sock_shutdown(fd, 1), wanted);
    expect("accept", raw_sock_accept(fd, 0, 64), wanted);
    expect("recv", raw_sock_recv(fd, 0, 0, 0, 64, 68), wanted);
    expect("send", raw_sock_send(fd, 0, 0, 0, 64), wanted);
  }
  expect("close", __wasi_fd_close(file), 0);
}

/** What a call answers when its right was given away, and what it answers otherwise. */
static void lost(const char *what, __wasi_errno_t got, int gone, __wasi_errno_t otherwise) {
  expect(what, got, gone ? __WASI_ERRNO_NOTCAPABLE : otherwise);
}

static void given_away(void) {
  expect("mkdir", __wasi_path_create_directory(3, "rights"), 0);
  __wasi_fd_t opened = open_at(3, "rights", __WASI_OFLAGS_DIRECTORY, 0), fd;
  __wasi_fdstat_t own;
  expect("fdstat", __wasi_fd_fdstat_get(3, &own), 0);
  for (int oflags = 0; oflags <= __WASI_OFLAGS_DIRECTORY; oflags += __WASI_OFLAGS_DIRECTORY) {
    expect("same rights", __wasi_path_open(3, 0, ".", oflags, own.fs_rights_base, own.fs_rights_inheriting, 0, &fd), 0);
    expect("close", __wasi_fd_close(fd), 0);
  }
  expect("create", __wasi_path_open(opened, 0, "file", __WASI_OFLAGS_CREAT, 0, 0, 0, &fd), 0);
  expect("close", __wasi_fd_close(fd), 0);
  expect("close", __wasi_fd_close(opened), 0);
  for (int bit = 0; bit < 29; bit++) {
    __wasi_rights_t right = 1ull << bit;
    __wasi_fd_t dir = open_at(3, "rights", __WASI_OFLAGS_DIRECTORY, 0);
    __wasi_fdstat_t st;
    __wasi_filestat_t filestat;
    __wasi_size_t n;
    uint8_t text[64];
    expect("fdstat", __wasi_fd_fdstat_get(dir, &st), 0);
    expect("give away", __wasi_fd_fdstat_set_rights(dir, st.fs_rights_base & ~right, st.fs_rights_inheriting), 0);
#define LOST(call, which, otherwise) lost(#call, call, st.fs_rights_base & right & (which), otherwise)
    LOST(__wasi_path_open(dir, 0, "no", 0, 0, 0, 0, &fd), __WASI_RIGHTS_PATH_OPEN, __WASI_ERRNO_NOENT);
    LOST(__wasi_path_open(dir, 0, "file", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, 0, 0, 0, &fd),
         __WASI_RIGHTS_PATH_OPEN | __WASI_RIGHTS_PATH_CREATE_FILE, __WASI_ERRNO_EXIST);
    LOST(__wasi_path_open(dir, 0, "no", __WASI_OFLAGS_TRUNC, 0, 0, 0, &fd),
         __WASI_RIGHTS_PATH_OPEN | __WASI_RIGHTS_PATH_FILESTAT_SET_SIZE, __WASI_ERRNO_NOENT);
    LOST(__wasi_path_create_directory(dir, "file"), __WASI_RIGHTS_PATH_CREATE_DIRECTORY, __WASI_ERRNO_EXIST);
    LOST(__wasi_path_remove_directory(dir, "file"), __WASI_RIGHTS_PATH_REMOVE_DIRECTORY, __WASI_ERRNO_NOTDIR);
    LOST(__wasi_path_unlink_file(dir, "no"), __WASI_RIGHTS_PATH_UNLINK_FILE, __WASI_ERRNO_NOENT);
    LOST(__wasi_path_symlink("file", dir, "file"), __WASI_RIGHTS_PATH_SYMLINK, __WASI_ERRNO_EXIST);
    LOST(__wasi_path_readlink(dir, "file", text, 64, &n), __WASI_RIGHTS_PATH_READLINK, __WASI_ERRNO_INVAL);
    LOST(__wasi_path_rename(dir, "no", 3, "x"), __WASI_RIGHTS_PATH_RENAME_SOURCE, __WASI_ERRNO_NOENT);
    LOST(__wasi_path_rename(3, "no", dir, "x"), __WASI_RIGHTS_PATH_RENAME_TARGET, __WASI_ERRNO_NOENT);
    LOST(__wasi_path_link(dir, 0, "no", 3, "x"), __WASI_RIGHTS_PATH_LINK_SOURCE, __WASI_ERRNO_NOENT);
    LOST(__wasi_path_link(3, 0, "no", dir, "x"), __WASI_RIGHTS_PATH_LINK_TARGET, __WASI_ERRNO_NOENT);
    LOST(__wasi_path_filestat_get(dir, 0, "file", &filestat), __WASI_RIGHTS_PATH_FILESTAT_GET, 0);
    LOST(__wasi_path_filestat_set_times(dir, 0, "file", 1, 1, 1), __WASI_RIGHTS_PATH_FILESTAT_SET_TIMES, 0);
    LOST(__wasi_fd_readdir(dir, text, 64, 0, &n), __WASI_RIGHTS_FD_READDIR, 0);
    LOST(__wasi_fd_filestat_get(dir, &filestat), __WASI_RIGHTS_FD_FILESTAT_GET, 0);
    LOST(__wasi_fd_filestat_set_times(dir, 1, 1, 1), __WASI_RIGHTS_FD_FILESTAT_SET_TIMES, 0);
    LOST(__wasi_fd_sync(dir), __WASI_RIGHTS_FD_SYNC, 0);
    expect("close", __wasi_fd_close(dir), 0);
    // What was opened through it lost the same, where it is to be inherited.
    dir = open_at(3, "rights", __WASI_OFLAGS_DIRECTORY, 0);
    expect("fdstat", __wasi_fd_fdstat_get(dir, &st), 0);
    expect("give away", __wasi_fd_fdstat_set_rights(dir, st.fs_rights_base, st.fs_rights_inheriting & ~right), 0);
    expect("file", __wasi_path_open(dir, 0, "file", 0, all, all, 0, &fd), 0);
    __wasi_filesize_t at;
    st.fs_rights_base = st.fs_rights_inheriting;
    LOST(__wasi_fd_seek(fd, 1, 0, &at), __WASI_RIGHTS_FD_SEEK, 0);
    LOST(__wasi_fd_tell(fd, &at), __WASI_RIGHTS_FD_TELL, 0);
    LOST(__wasi_fd_advise(fd, 0, 1, 0), __WASI_RIGHTS_FD_ADVISE, 0);
    LOST(__wasi_fd_datasync(fd), __WASI_RIGHTS_FD_DATASYNC, 0);
    if (right != __WASI_RIGHTS_FD_WRITE) {
      LOST(__wasi_fd_allocate(fd, 0, 1), __WASI_RIGHTS_FD_ALLOCATE, 0);
      LOST(__wasi_fd_filestat_set_size(fd, 1), __WASI_RIGHTS_FD_FILESTAT_SET_SIZE, 0);
    }
    LOST(__wasi_fd_fdstat_set_flags(fd, 0), __WASI_RIGHTS_FD_FDSTAT_SET_FLAGS, 0);
    expect("close", __wasi_fd_close(fd), 0);
    expect("close", __wasi_fd_close(dir), 0);
  }
}

/** Beside the grants, after them: a directory "/" in which what leads to them can be looked at, and nothing else is. */
static void nowhere(void) {
  __wasi_prestat_t prestat;
  uint8_t text[8];
  __wasi_fd_t fd, there = 4;
  __wasi_filestat_t st;
  __wasi_size_t n;
  expect("prestat", __wasi_fd_prestat_get(there, &prestat), 0);
  expect("name", prestat.u.dir.pr_name_len, 1);
  expect("name", __wasi_fd_prestat_dir_name(there, text, 1), 0);
  expect("name", text[0], '/');
  expect("no more", __wasi_fd_prestat_get(5, &prestat), __WASI_ERRNO_BADF);
  for (int i = 0; i < 4; i++) {
    const char *path = (const char *[]){".", "", "etc/passwd", "../x"}[i];
    bool itself = i == 0;
    expect("open", __wasi_path_open(there, 1, path, 0, 0, 0, 0, &fd), itself ? 0 : __WASI_ERRNO_NOENT);
    if (itself) expect("close", __wasi_fd_close(fd), 0);
    int made = itself ? __WASI_ERRNO_ISDIR : __WASI_ERRNO_NOENT;
    expect("create", __wasi_path_open(there, 1, path, 1, all, all, 0, &fd), made);
    expect("stat", __wasi_path_filestat_get(there, 1, path, &st), itself ? 0 : __WASI_ERRNO_NOENT);
    expect("times", __wasi_path_filestat_set_times(there, 1, path, 1, 1, 1), __WASI_ERRNO_NOENT);
    expect("mkdir", __wasi_path_create_directory(there, path), __WASI_ERRNO_NOENT);
    expect("rmdir", __wasi_path_remove_directory(there, path), __WASI_ERRNO_NOENT);
    expect("unlink", __wasi_path_unlink_file(there, path), __WASI_ERRNO_NOENT);
    expect("symlink", __wasi_path_symlink("a", there, path), __WASI_ERRNO_NOENT);
    expect("readlink", __wasi_path_readlink(there, path, text, 8, &n), __WASI_ERRNO_NOENT);
    expect("rename", __wasi_path_rename(there, path, 3, "x"), __WASI_ERRNO_NOENT);
    expect("rename", __wasi_path_rename(3, "b", there, path), __WASI_ERRNO_NOENT);
    expect("link", __wasi_path_link(there, 0, path, 3, "x"), __WASI_ERRNO_NOENT);
    expect("link", __wasi_path_link(3, 0, "b", there, path), __WASI_ERRNO_NOENT);
  }
  // The C library makes "." of both names.
  expect("empty name", open("", O_RDONLY) < 0 ? errno : 0, ENOENT);
  fd = open("/", O_RDONLY | O_DIRECTORY);
  expect("/", close(fd), 0);
  __wasi_iovec_t vec = {text, 1};
  expect("read", __wasi_fd_read(there, &vec, 1, &n), __WASI_ERRNO_ISDIR);
  expect("sync", __wasi_fd_sync(there), 0);
  expect("stat", __wasi_fd_filestat_get(there, &st), 0);
  expect("type", st.filetype, __WASI_FILETYPE_DIRECTORY);
  expect("readdir", __wasi_fd_readdir(there, text, 8, 0, &n), 0);
  expect("close", __wasi_fd_close(there), 0);
  expect("again", __wasi_fd_close(there), __WASI_ERRNO_BADF);
}

int main(void) {
  nowhere();
  readdir_cookies();
  renumber();
  times_and_rights();
  paths();
  addresses();
  sockets();
  given_away();
  polls();
  printf("%d failures\n", failures);
  return failures != 0;
}
