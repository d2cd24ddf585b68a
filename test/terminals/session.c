/*
 * What a program does with its terminal.
 *
 *   session ask            says what isatty, the size and the groups are
 *   session lines          says each line that it reads, and where that ends
 *   session raw            raw mode: says each byte that it reads, until q
 *   session resized        says the size now, and after each SIGWINCH; ends at a line
 *   session job            a child in the foreground, which is stopped, goes on, ends: as a shell runs a job
 *   session background     a child in the background that reads: how it was stopped
 *   session write          writes without end
 *   session where          its folders and NAME
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

static void say_size(void) {
  struct winsize size;
  if (ioctl(0, TIOCGWINSZ, &size) < 0) printf("size: %s\n", strerror(errno));
  else printf("size %d %d\n", size.ws_row, size.ws_col);
  fflush(stdout);
}

static volatile sig_atomic_t resized, interrupted;
static void on_signal(int signal) {
  if (signal == SIGWINCH) resized++;
  else interrupted++;
}

static int lines(void) {
  char line[256];
  struct sigaction action = { .sa_handler = on_signal };
  sigaction(SIGINT, &action, NULL);
  puts("ready");
  fflush(stdout);
  for (;;) {
    ssize_t got = read(0, line, sizeof line - 1);
    if (got < 0 && errno == EINTR) {
      printf("interrupt %d\n", (int)interrupted);
      fflush(stdout);
      continue;
    }
    if (got <= 0) break;
    line[got] = 0;
    line[strcspn(line, "\n")] = 0;
    printf("<%s>\n", line);
    fflush(stdout);
  }
  puts("end");
  return 3;
}

static int raw(void) {
  struct termios before, now;
  if (tcgetattr(0, &before) < 0) return 1;
  now = before;
  cfmakeraw(&now);
  tcsetattr(0, TCSAFLUSH, &now);
  write(1, "raw\r\n", 5);
  char byte = 0;
  while (byte != 'q' && read(0, &byte, 1) == 1) dprintf(1, "[%d]", byte);
  tcsetattr(0, TCSANOW, &before);
  puts("\nas before");
  return 0;
}

static pid_t child(const char *part) {
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP);
  char *args[] = { "session", (char *)part, NULL };
  pid_t pid = -1;
  int error = posix_spawn(&pid, "/programs/session.wasm", NULL, &how, args, environ);
  if (error != 0) printf("%s\n", strerror(error));
  return pid;
}

static void say_change(pid_t pid) {
  int status;
  if (waitpid(pid, &status, WUNTRACED) != pid) printf("%s\n", strerror(errno));
  else if (WIFSTOPPED(status)) printf("stopped by %d\n", WSTOPSIG(status));
  else if (WIFSIGNALED(status)) printf("ended by %d\n", WTERMSIG(status));
  else printf("code %d\n", WEXITSTATUS(status));
  fflush(stdout);
}

/** In the foreground until it stops or ends. */
static void foreground(pid_t pid) {
  tcsetpgrp(0, pid);
  kill(-pid, SIGCONT);
  say_change(pid);
  tcsetpgrp(0, getpgrp());
}

int main(int argc, char **argv) {
  const char *part = argc > 1 ? argv[1] : "";
  if (strcmp(part, "ask") == 0) {
    printf("isatty %d %d %d\n", isatty(0), isatty(1), isatty(2));
    printf("group %s\n", tcgetpgrp(0) == getpgrp() && tcgetsid(0) == getsid(0) ? "ours" : "another");
    say_size();
    return 0;
  }
  if (strcmp(part, "lines") == 0) return lines();
  if (strcmp(part, "raw") == 0) return raw();
  if (strcmp(part, "resized") == 0) {
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGWINCH, &action, NULL);
    char byte;
    say_size();
    while (read(0, &byte, 1) < 0 && errno == EINTR) say_size();
    return 0;
  }
  if (strcmp(part, "job") == 0) {
    signal(SIGTTOU, SIG_IGN);
    pid_t pid = child("lines");
    foreground(pid);
    foreground(pid);
    return 0;
  }
  if (strcmp(part, "background") == 0) {
    pid_t pid = child("lines");
    say_change(pid);
    foreground(pid);
    return 0;
  }
  if (strcmp(part, "sleep") == 0) for (;;) sleep(3600);
  if (strcmp(part, "write") == 0) for (;;) puts("a line of what is written without end");
  if (strcmp(part, "where") == 0) {
    FILE *file = fopen("/programs/session.wasm", "r");
    printf("folder %s, NAME %s\n", file != NULL ? "there" : "not there", getenv("NAME"));
    return 0;
  }
  return 64;
}
