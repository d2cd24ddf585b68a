/* syslog.h: there is no log of the system. */
#define LOG_INFO 6
#define LOG_DAEMON 24
#define LOG_PID 1
#define LOG_AUTH 32
