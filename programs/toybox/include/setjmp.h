/* setjmp.h: there is no way back out of calls; toybox goes it only where one applet runs another. */
#ifndef ODONATA_TOYBOX_SETJMP_H
#define ODONATA_TOYBOX_SETJMP_H
typedef int jmp_buf[1];
typedef int sigjmp_buf[1];
#define setjmp(at) 0
#define sigsetjmp(at, mask) 0
#define longjmp(at, with) __builtin_trap()
#define siglongjmp(at, with) __builtin_trap()
#endif
