/* The terminal of the session: termios, its size, its foreground. */
#include <errno.h>
#include <fcntl.h>
#include <odonata.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wasi/api.h>
#include "errors.h"

/** As in the structure: characters of three words. */
#define CHARACTERS 24

int tcgetattr(int fd, struct termios *settings) {
  struct odonata_terminal terminal;
  int error = odonata_terminal_get((uint32_t)fd, &terminal);
  if (error != 0) return fail(error);
  memset(settings, 0, sizeof *settings);
  settings->c_iflag = (tcflag_t)terminal.input;
  settings->c_oflag = (tcflag_t)terminal.output;
  settings->c_lflag = (tcflag_t)terminal.local;
  // What it is not: a line of so many bits and bauds.
  settings->c_cflag = CS8 | CREAD | B38400;
  settings->c_ispeed = settings->c_ospeed = B38400;
  uint64_t words[] = { terminal.characters0, terminal.characters8, terminal.characters16 };
  memcpy(settings->c_cc, words, CHARACTERS);
  return 0;
}

int tcsetattr(int fd, int when, const struct termios *settings) {
  if (when < TCSANOW || when > TCSAFLUSH) return fail(EINVAL);
  int flags = when == TCSAFLUSH ? ODONATA_TERMINAL_FLUSH : 0;
  return fail(odonata_terminal_set((uint32_t)fd, flags, settings->c_iflag, settings->c_oflag, settings->c_lflag,
                                   (const char *)settings->c_cc, CHARACTERS));
}

int tcgetwinsize(int fd, struct winsize *size) {
  struct odonata_terminal terminal;
  int error = odonata_terminal_get((uint32_t)fd, &terminal);
  if (error != 0) return fail(error);
  *size = (struct winsize){ .ws_row = (unsigned short)terminal.rows, .ws_col = (unsigned short)terminal.columns };
  return 0;
}

int tcsetwinsize(int fd, const struct winsize *size) {
  return fail(odonata_terminal_resize((uint32_t)fd, size->ws_row, size->ws_col));
}

pid_t tcgetpgrp(int fd) {
  struct odonata_terminal terminal;
  int error = odonata_terminal_get((uint32_t)fd, &terminal);
  return error != 0 ? fail(error) : (pid_t)terminal.foreground;
}

pid_t tcgetsid(int fd) {
  struct odonata_terminal terminal;
  int error = odonata_terminal_get((uint32_t)fd, &terminal);
  return error != 0 ? fail(error) : (pid_t)terminal.session;
}

int tcsetpgrp(int fd, pid_t group) {
  if (group <= 0) return fail(EINVAL);
  return fail(odonata_terminal_foreground((uint32_t)fd, (uint64_t)group));
}

int tcflush(int fd, int queue) {
  struct termios settings;
  if (queue < TCIFLUSH || queue > TCIOFLUSH) return fail(EINVAL);
  if (tcgetattr(fd, &settings) < 0) return -1;
  return queue == TCOFLUSH ? 0 : tcsetattr(fd, TCSAFLUSH, &settings);
}

/** What was written is on its way, and nothing holds it. */
int tcdrain(int fd) {
  struct termios settings;
  return tcgetattr(fd, &settings);
}

int tcflow(int fd, int action) {
  (void)action;
  return tcdrain(fd);
}

int tcsendbreak(int fd, int duration) {
  (void)duration;
  return tcdrain(fd);
}

void cfmakeraw(struct termios *settings) {
  settings->c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  settings->c_oflag &= ~(tcflag_t)OPOST;
  settings->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  settings->c_cc[VMIN] = 1;
  settings->c_cc[VTIME] = 0;
}

speed_t cfgetospeed(const struct termios *settings) { return settings->c_ospeed; }
speed_t cfgetispeed(const struct termios *settings) { return settings->c_ispeed; }

int cfsetospeed(struct termios *settings, speed_t speed) {
  settings->c_ospeed = speed;
  return 0;
}

int cfsetispeed(struct termios *settings, speed_t speed) {
  settings->c_ispeed = speed;
  return 0;
}

char *ttyname(int fd) {
  static char name[] = "/dev/tty";
  return isatty(fd) ? name : NULL;
}

char *ctermid(char *into) {
  static char name[16];
  return strcpy(into == NULL ? name : into, "/dev/tty");
}

/** Bytes that a read would get at once. */
static int readable(int fd, int *bytes) {
  __wasi_subscription_t wanted[2] = { { .u.tag = __WASI_EVENTTYPE_FD_READ }, { .u.tag = __WASI_EVENTTYPE_CLOCK } };
  wanted[0].u.u.fd_read.file_descriptor = (__wasi_fd_t)fd;
  wanted[1].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
  __wasi_event_t events[2];
  __wasi_size_t count = 0;
  __wasi_errno_t error = __wasi_poll_oneoff(wanted, events, 2, &count);
  *bytes = 0;
  for (__wasi_size_t i = 0; error == 0 && i < count; i++) {
    if (events[i].type != __WASI_EVENTTYPE_FD_READ) continue;
    error = events[i].error;
    *bytes = (int)events[i].fd_readwrite.nbytes;
  }
  return error;
}

int ioctl(int fd, int request, ...) {
  va_list args;
  va_start(args, request);
  void *with = va_arg(args, void *);
  va_end(args);
  switch (request) {
    case TCGETS:
      return tcgetattr(fd, with);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
      return tcsetattr(fd, request - TCSETS, with);
    case TIOCGWINSZ:
      return tcgetwinsize(fd, with);
    case TIOCSWINSZ:
      return tcsetwinsize(fd, with);
    case TIOCGPGRP:
    case TIOCGSID: {
      pid_t found = request == TIOCGPGRP ? tcgetpgrp(fd) : tcgetsid(fd);
      if (found < 0) return -1;
      *(pid_t *)with = found;
      return 0;
    }
    case TIOCSPGRP:
      return tcsetpgrp(fd, *(pid_t *)with);
    case FIONREAD:
      return fail(readable(fd, with));
    case FIONBIO: {
      int flags = fcntl(fd, F_GETFL);
      if (flags < 0) return -1;
      return fcntl(fd, F_SETFL, *(int *)with ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    }
    default:
      return fail(isatty(fd) ? EINVAL : ENOTTY);
  }
}
