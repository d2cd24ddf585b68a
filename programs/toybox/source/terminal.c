/* Modes of terminals, where the library has none. */
#include <errno.h>
#include <termios.h>

__attribute__((weak)) int tcgetattr(int fd, struct termios *out) {
  (void)fd, (void)out;
  errno = ENOTTY;
  return -1;
}
__attribute__((weak)) int tcsetattr(int fd, int when, const struct termios *modes) {
  (void)fd, (void)when, (void)modes;
  errno = ENOTTY;
  return -1;
}
__attribute__((weak)) void cfmakeraw(struct termios *modes) { modes->c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG | IEXTEN); }
