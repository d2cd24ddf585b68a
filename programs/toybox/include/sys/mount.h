/* sys/mount.h: a program mounts nothing. */
