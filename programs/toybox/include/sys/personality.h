/* sys/personality.h: there is one. */
#define PER_LINUX32 8
int personality(unsigned long);
