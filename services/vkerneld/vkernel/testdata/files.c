// Works on files under the directory that is its first argument and prints what it found; `files.c` of the tests.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char at[512];
static const char *root;

static const char *path(const char *name) {
  snprintf(at, sizeof at, "%s/%s", root, name);
  return at;
}

static void say(const char *what, long long result) {
  if (result < 0) printf("%s: %s\n", what, strerror(errno));
  else printf("%s: %lld\n", what, result);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *name) {
  DIR *dir = opendir(path(name));
  if (dir == NULL) {
    say("opendir", -1);
    return;
  }
  char *names[600];
  int count = 0;
  struct dirent *entry;
  while ((entry = readdir(dir)) != NULL && count < 600) names[count++] = strdup(entry->d_name);
  closedir(dir);
  qsort(names, count, sizeof *names, by_name);
  printf("%s has %d:", name, count);
  for (int i = 0; i < count && i < 8; i++) printf(" %s", names[i]);
  printf("\n");
}

int main(int argc, char **argv) {
  root = argc > 1 ? argv[1] : "/data";
  char text[64] = {0};
  struct stat st;

  int fd = open(path("a.txt"), O_RDWR | O_CREAT | O_EXCL, 0644);
  say("write", write(fd, "hello, world", 12));
  say("seek", lseek(fd, 7, SEEK_SET));
  say("read", read(fd, text, 60));
  printf("text: %s\n", text);
  say("pwrite", pwrite(fd, "HELL", 4, 0));
  say("pread", pread(fd, text, 5, 0));
  printf("text: %.5s\n", text);
  say("tell", lseek(fd, 0, SEEK_CUR));
  say("end", lseek(fd, -2, SEEK_END));
  say("before the start", lseek(fd, -1, SEEK_SET));
  say("far", lseek(fd, 5000000000LL, SEEK_SET));
  say("write far", write(fd, "!", 1));
  say("stat", fstat(fd, &st));
  say("size", st.st_size);
  say("regular", S_ISREG(st.st_mode));
  say("truncate", ftruncate(fd, 3));
  say("stat", fstat(fd, &st));
  say("size", st.st_size);
  say("close", close(fd));
  say("closed", close(fd));
  say("exclusive", open(path("a.txt"), O_RDWR | O_CREAT | O_EXCL, 0644));

  fd = open(path("a.txt"), O_WRONLY | O_APPEND);
  say("append", write(fd, "XYZ", 3));
  say("tell", lseek(fd, 0, SEEK_CUR));
  say("seek", lseek(fd, 0, SEEK_SET));
  say("append", write(fd, "xyz", 3));
  say("read of write-only", read(fd, text, 1));
  say("flags", fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK));
  close(fd);
  fd = open(path("a.txt"), O_RDONLY);
  say("write of read-only", write(fd, "x", 1));
  memset(text, 0, sizeof text);
  say("read", read(fd, text, 60));
  printf("text: %s\n", text);
  say("read at end", read(fd, text, 60));
  close(fd);
  fd = open(path("a.txt"), O_RDWR);
  say("set append", fcntl(fd, F_SETFL, O_APPEND));
  say("write", write(fd, "++", 2));
  close(fd);
  fd = open(path("a.txt"), O_RDWR | O_TRUNC);
  fstat(fd, &st);
  say("truncated", st.st_size);
  close(fd);

  say("mkdir", mkdir(path("d"), 0755));
  say("mkdir again", mkdir(path("d"), 0755));
  say("mkdir deep", mkdir(path("d/e"), 0755));
  say("mkdir nowhere", mkdir(path("no/e"), 0755));
  say("open dir to write", open(path("d"), O_RDWR));
  say("open file as dir", open(path("a.txt"), O_RDONLY | O_DIRECTORY));
  say("open through file", open(path("a.txt/x"), O_RDONLY));
  for (int i = 0; i < 500; i++) {
    char name[64];
    snprintf(name, sizeof name, "d/e/file-with-a-rather-long-name-%03d", i);
    close(open(path(name), O_WRONLY | O_CREAT, 0644));
  }
  list("d");
  list("d/e");
  list("no");
  say("rmdir full", rmdir(path("d/e")));
  say("rmdir file", rmdir(path("a.txt")));
  say("unlink dir", unlink(path("d")));
  say("unlink nothing", unlink(path("no")));
  char from[512];
  strcpy(from, path("a.txt"));
  say("rename", rename(from, path("d/b.txt")));
  say("rename nothing", rename(from, path("d/c.txt")));
  strcpy(from, path("d/b.txt"));
  say("link", link(from, path("d/c.txt")));
  stat(path("d/c.txt"), &st);
  say("links", st.st_nlink);
  say("symlink", symlink("b.txt", path("d/s.txt")));
  say("symlink up", symlink("../d/e", path("d/up")));
  say("readlink", readlink(path("d/s.txt"), text, 60));
  say("readlink of file", readlink(path("d/b.txt"), text, 60));
  say("lstat", lstat(path("d/s.txt"), &st));
  say("link", S_ISLNK(st.st_mode));
  say("stat", stat(path("d/s.txt"), &st));
  say("regular", S_ISREG(st.st_mode));
  say("through", open(path("d/up/../b.txt"), O_RDONLY) >= 0);
  say("nofollow", open(path("d/s.txt"), O_RDONLY | O_NOFOLLOW));
  symlink("loop", path("loop"));
  say("loop", open(path("loop"), O_RDONLY));
  struct timespec times[2] = {{1000000000, 123456789}, {1700000000, 987654321}};
  say("utimens", utimensat(AT_FDCWD, path("d/b.txt"), times, 0));
  stat(path("d/b.txt"), &st);
  printf("times: %lld.%09ld %lld.%09ld\n", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
         (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  say("access", access(path("d/b.txt"), R_OK | W_OK));
  list("d");
  FILE *file = fopen(path("lines"), "w");
  for (int i = 0; i < 100000; i++) fprintf(file, "line %d\n", i);
  fclose(file);
  file = fopen(path("lines"), "r");
  long sum = 0;
  int n;
  while (fscanf(file, "line %d\n", &n) == 1) sum += n;
  fclose(file);
  say("sum", sum);
  return 0;
}
