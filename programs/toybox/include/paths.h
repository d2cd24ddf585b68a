/* paths.h: where programs and devices are. */
#define _PATH_DEFPATH "/bin"
#define _PATH_DEVNULL "/dev/null"
#define _PATH_TTY "/dev/tty"
