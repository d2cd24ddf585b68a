/* termios.h: the keys and modes of terminals, as Linux has them. */
#ifndef ODONATA_TOYBOX_TERMIOS_H
#define ODONATA_TOYBOX_TERMIOS_H
typedef unsigned char cc_t;
typedef unsigned int tcflag_t, speed_t;
#define NCCS 32
struct termios {
  tcflag_t c_iflag, c_oflag, c_cflag, c_lflag;
  cc_t c_line, c_cc[NCCS];
  speed_t c_ispeed, c_ospeed;
};
struct winsize {
  unsigned short ws_row, ws_col, ws_xpixel, ws_ypixel;
};
#define VINTR 0
#define VMIN 6
#define VTIME 5
#define ICRNL 0400
#define IXON 02000
#define IXOFF 010000
#define BRKINT 2
#define INLCR 0100
#define IGNBRK 1
#define IXANY 04000
#define IUTF8 040000
#define ISTRIP 040
#define INPCK 020
#define PARMRK 010
#define IGNCR 0200
#define OPOST 1
#define ONLCR 4
#define ECHO 010
#define ECHONL 0100
#define ECHOE 020
#define ECHOK 040
#define ECHOCTL 01000
#define ECHOKE 04000
#define ICANON 2
#define ISIG 1
#define IEXTEN 0100000
#define CS8 060
#define CREAD 0200
#define HUPCL 02000
#define CLOCAL 04000
#define PARENB 0400
#define CSIZE 060
#define CBAUD 010017
#define CBAUDEX 010000
#define TCSANOW 0
#define TCSADRAIN 1
#define TCSAFLUSH 2
#define TCIFLUSH 0
#define TIOCGWINSZ 0x5413
#define TIOCNOTTY 0x5422
#define B50 1
#define B9600 13
int tcgetattr(int, struct termios *);
int tcsetattr(int, int, const struct termios *);
int tcflush(int, int);
speed_t cfgetospeed(const struct termios *);
speed_t cfgetispeed(const struct termios *);
int cfsetspeed(struct termios *, speed_t);
void cfmakeraw(struct termios *);
#endif
