/* Redirections, done to the shell itself: what it starts meanwhile has them, and then they are undone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shell.h"

/** Copies of what was redirected have numbers from here on. */
#define COPIES 200
#define COPIES_END 250
/** What a pipe takes without a reader. */
#define HERE_BYTES 65536

static int free_copy(void) {
  for (int fd = COPIES; fd < COPIES_END; fd++)
    if (fcntl(fd, F_GETFD) < 0) return fd;
  return -1;
}

static bool save(int fd, struct saved_stream **saved) {
  struct saved_stream *made = calloc(1, sizeof *made);
  made->fd = fd;
  made->copy = -1;
  if (fcntl(fd, F_GETFD) >= 0) {
    int to = free_copy();
    if (to < 0 || dup2(fd, to) < 0) {
      complain("%d: too many redirections at one time", fd);
      free(made);
      return false;
    }
    fcntl(to, F_SETFD, FD_CLOEXEC);
    made->copy = to;
  }
  made->next = *saved;
  *saved = made;
  return true;
}

void redirect_undo(struct saved_stream *saved) {
  while (saved != NULL) {
    struct saved_stream *next = saved->next;
    if (saved->copy < 0) close(saved->fd);
    else {
      dup2(saved->copy, saved->fd);
      close(saved->copy);
    }
    free(saved);
    saved = next;
  }
}

static int here_text(const struct redirect *redirect) {
  const char *body = redirect->here_is_quoted ? redirect->here : expand_here(redirect->here);
  size_t length = strlen(body);
  if (shell.failed) return -1;
  if (length <= HERE_BYTES) {
    int ends[2];
    if (pipe(ends) < 0) return -1;
    bool whole = write(ends[1], body, length) == (ssize_t)length;
    close(ends[1]);
    if (whole) return ends[0];
    close(ends[0]);
    return -1;
  }
  static int last;
  char path[64];
  snprintf(path, sizeof path, "/tmp/.sh-%d-%d", (int)getpid(), ++last);
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
  for (size_t at = 0; fd >= 0 && at < length;) {
    ssize_t written = write(fd, body + at, length - at);
    if (written <= 0) break;
    at += (size_t)written;
  }
  if (fd >= 0) close(fd);
  fd = open(path, O_RDONLY);
  unlink(path);
  return fd;
}

/** A descriptor, or -1: it was said why not. -2: the descriptor is to be closed. */
static int opened(const struct redirect *redirect) {
  if (redirect->kind == HERE) {
    int fd = here_text(redirect);
    if (fd < 0 && !shell.failed) complain("the text by <<: %s", strerror(errno));
    return fd;
  }
  char *word = expand_text(redirect->word);
  if (shell.failed) return -1;
  if (redirect->kind == SAME_INPUT || redirect->kind == SAME_OUTPUT) {
    if (strcmp(word, "-") == 0) return -2;
    char *end;
    long fd = strtol(word, &end, 10);
    if (*word == 0 || *end != 0) {
      complain("%s: a number is to stand after the &: 2>&1", word);
      return -1;
    }
    int copy = dup((int)fd);
    if (copy < 0) complain("%ld: no such descriptor is open", fd);
    return copy;
  }
  static const int flags[] = { O_RDONLY, O_WRONLY | O_CREAT | O_TRUNC, O_WRONLY | O_CREAT | O_APPEND, O_WRONLY | O_CREAT | O_TRUNC, O_RDWR | O_CREAT };
  int fd = open(word, flags[redirect->kind], 0666);
  if (fd < 0) complain("%s: %s", *word == 0 ? "\"\"" : word, strerror(errno));
  return fd;
}

bool redirect_all(const struct redirect *redirect, struct saved_stream **saved) {
  for (; redirect != NULL; redirect = redirect->next) {
    int fd = opened(redirect);
    if (fd == -1) return false;
    if (saved != NULL && !save(redirect->fd, saved)) {
      if (fd >= 0) close(fd);
      return false;
    }
    if (fd == -2) close(redirect->fd);
    else if (fd != redirect->fd) {
      int made = dup2(fd, redirect->fd);
      int error = errno;
      close(fd);
      if (made < 0) {
        complain("%d: %s", redirect->fd, strerror(error));
        return false;
      }
    }
  }
  return true;
}
