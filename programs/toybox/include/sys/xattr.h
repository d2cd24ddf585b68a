/* sys/xattr.h: files have none. */
