/* sys/ioctl.h: of terminals, and what wasi-libc has. */
#ifndef ODONATA_POSIX_SYS_IOCTL_H
#define ODONATA_POSIX_SYS_IOCTL_H
#include_next <sys/ioctl.h>
#define __NEED_struct_winsize
#include <bits/alltypes.h>
#ifdef __cplusplus
extern "C" {
#endif

#define TCGETS 0x5401
#define TCSETS 0x5402
#define TCSETSW 0x5403
#define TCSETSF 0x5404
#define TIOCGPGRP 0x540F
#define TIOCSPGRP 0x5410
#define TIOCGWINSZ 0x5413
#define TIOCSWINSZ 0x5414
#define TIOCGSID 0x5429

#ifdef __cplusplus
}
#endif
#endif
