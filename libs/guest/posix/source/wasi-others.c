/* The calls of WASI that no shared file system has a part in: on to the virtual kernel. See wasi.c. */
#include "descriptors.h"
#include "errors.h"
#include "wasi-calls.h"

__wasi_errno_t __wasi_args_get(uint8_t **argv, uint8_t *buffer) { return RAW(args_get, argv, buffer); }
__wasi_errno_t __wasi_args_sizes_get(__wasi_size_t *count, __wasi_size_t *bytes) {
  return RAW(args_sizes_get, count, bytes);
}
__wasi_errno_t __wasi_environ_get(uint8_t **environ, uint8_t *buffer) { return RAW(environ_get, environ, buffer); }
__wasi_errno_t __wasi_environ_sizes_get(__wasi_size_t *count, __wasi_size_t *bytes) {
  return RAW(environ_sizes_get, count, bytes);
}
__wasi_errno_t __wasi_clock_res_get(__wasi_clockid_t id, __wasi_timestamp_t *resolution) {
  return RAW(clock_res_get, id, resolution);
}
__wasi_errno_t __wasi_clock_time_get(__wasi_clockid_t id, __wasi_timestamp_t precision, __wasi_timestamp_t *time) {
  return RAW(clock_time_get, id, precision, time);
}
__wasi_errno_t __wasi_fd_prestat_get(__wasi_fd_t fd, __wasi_prestat_t *stat) { return RAW(fd_prestat_get, fd, stat); }
__wasi_errno_t __wasi_fd_prestat_dir_name(__wasi_fd_t fd, uint8_t *path, __wasi_size_t bytes) {
  return RAW(fd_prestat_dir_name, fd, path, bytes);
}
__wasi_errno_t __wasi_random_get(uint8_t *buffer, __wasi_size_t bytes) { return RAW(random_get, buffer, bytes); }
__wasi_errno_t __wasi_sched_yield(void) { return RAW(sched_yield); }

_Noreturn void odonata_wasi_proc_exit(int32_t)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit")));
_Noreturn void __wasi_proc_exit(__wasi_exitcode_t code) { odonata_wasi_proc_exit((int32_t)code); }

static int not_a_socket(__wasi_fd_t fd) { return description_of(fd) == NULL ? EBADF_ : ENOTSOCK_; }

__wasi_errno_t __wasi_sock_accept(__wasi_fd_t fd, __wasi_fdflags_t flags, __wasi_fd_t *accepted) {
  return is_shared(fd) ? (__wasi_errno_t)not_a_socket(fd) : RAW(sock_accept, fd, flags, accepted);
}
__wasi_errno_t __wasi_sock_recv(__wasi_fd_t fd, const __wasi_iovec_t *data, size_t count, __wasi_riflags_t flags,
                                __wasi_size_t *bytes, __wasi_roflags_t *out) {
  return is_shared(fd) ? (__wasi_errno_t)not_a_socket(fd) : RAW(sock_recv, fd, data, count, flags, bytes, out);
}
__wasi_errno_t __wasi_sock_send(__wasi_fd_t fd, const __wasi_ciovec_t *data, size_t count, __wasi_siflags_t flags,
                                __wasi_size_t *bytes) {
  return is_shared(fd) ? (__wasi_errno_t)not_a_socket(fd) : RAW(sock_send, fd, data, count, flags, bytes);
}
__wasi_errno_t __wasi_sock_shutdown(__wasi_fd_t fd, __wasi_sdflags_t how) {
  return is_shared(fd) ? (__wasi_errno_t)not_a_socket(fd) : RAW(sock_shutdown, fd, how);
}
