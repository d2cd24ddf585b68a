/*
 * The imports themselves. Not by the names that wasi-libc gives them: those are its own, and a program has its functions
 * of these names, or this library's.
 */
#ifndef WASI_CALLS_H
#define WASI_CALLS_H
#include <wasi/api.h>

#define WASI_CALL(name, ...) \
  int32_t odonata_wasi_##name(__VA_ARGS__) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
#define RAW(name, ...) ((__wasi_errno_t)odonata_wasi_##name(__VA_ARGS__))

WASI_CALL(args_get, uint8_t **, uint8_t *);
WASI_CALL(args_sizes_get, __wasi_size_t *, __wasi_size_t *);
WASI_CALL(environ_get, uint8_t **, uint8_t *);
WASI_CALL(environ_sizes_get, __wasi_size_t *, __wasi_size_t *);
WASI_CALL(clock_res_get, int32_t, __wasi_timestamp_t *);
WASI_CALL(clock_time_get, int32_t, int64_t, __wasi_timestamp_t *);
WASI_CALL(fd_advise, int32_t, int64_t, int64_t, int32_t);
WASI_CALL(fd_allocate, int32_t, int64_t, int64_t);
WASI_CALL(fd_close, int32_t);
WASI_CALL(fd_datasync, int32_t);
WASI_CALL(fd_fdstat_get, int32_t, __wasi_fdstat_t *);
WASI_CALL(fd_fdstat_set_flags, int32_t, int32_t);
WASI_CALL(fd_fdstat_set_rights, int32_t, int64_t, int64_t);
WASI_CALL(fd_filestat_get, int32_t, __wasi_filestat_t *);
WASI_CALL(fd_filestat_set_size, int32_t, int64_t);
WASI_CALL(fd_filestat_set_times, int32_t, int64_t, int64_t, int32_t);
WASI_CALL(fd_pread, int32_t, const __wasi_iovec_t *, size_t, int64_t, __wasi_size_t *);
WASI_CALL(fd_prestat_get, int32_t, __wasi_prestat_t *);
WASI_CALL(fd_prestat_dir_name, int32_t, uint8_t *, size_t);
WASI_CALL(fd_pwrite, int32_t, const __wasi_ciovec_t *, size_t, int64_t, __wasi_size_t *);
WASI_CALL(fd_read, int32_t, const __wasi_iovec_t *, size_t, __wasi_size_t *);
WASI_CALL(fd_readdir, int32_t, uint8_t *, size_t, int64_t, __wasi_size_t *);
WASI_CALL(fd_renumber, int32_t, int32_t);
WASI_CALL(fd_seek, int32_t, int64_t, int32_t, __wasi_filesize_t *);
WASI_CALL(fd_sync, int32_t);
WASI_CALL(fd_tell, int32_t, __wasi_filesize_t *);
WASI_CALL(fd_write, int32_t, const __wasi_ciovec_t *, size_t, __wasi_size_t *);
WASI_CALL(path_create_directory, int32_t, const char *, size_t);
WASI_CALL(path_filestat_get, int32_t, int32_t, const char *, size_t, __wasi_filestat_t *);
WASI_CALL(path_filestat_set_times, int32_t, int32_t, const char *, size_t, int64_t, int64_t, int32_t);
WASI_CALL(path_link, int32_t, int32_t, const char *, size_t, int32_t, const char *, size_t);
WASI_CALL(path_open, int32_t, int32_t, const char *, size_t, int32_t, int64_t, int64_t, int32_t, __wasi_fd_t *);
WASI_CALL(path_readlink, int32_t, const char *, size_t, uint8_t *, size_t, __wasi_size_t *);
WASI_CALL(path_remove_directory, int32_t, const char *, size_t);
WASI_CALL(path_rename, int32_t, const char *, size_t, int32_t, const char *, size_t);
WASI_CALL(path_symlink, const char *, size_t, int32_t, const char *, size_t);
WASI_CALL(path_unlink_file, int32_t, const char *, size_t);
WASI_CALL(poll_oneoff, const __wasi_subscription_t *, __wasi_event_t *, size_t, __wasi_size_t *);
WASI_CALL(random_get, uint8_t *, size_t);
WASI_CALL(sched_yield, void);
WASI_CALL(sock_accept, int32_t, int32_t, __wasi_fd_t *);
WASI_CALL(sock_recv, int32_t, const __wasi_iovec_t *, size_t, int32_t, __wasi_size_t *, __wasi_roflags_t *);
WASI_CALL(sock_send, int32_t, const __wasi_ciovec_t *, size_t, int32_t, __wasi_size_t *);
WASI_CALL(sock_shutdown, int32_t, int32_t);
#endif
