// Before each of musl's own thread sources: the one system call of Linux that they make, as WebAssembly has it.
#pragma once
#include <errno.h>
#include <stdint.h>
#include <time.h>

#define SYS_futex 98
#define SYS_sched_yield 124
#define SYS_set_robust_list 99
#define SYS_get_robust_list 100

/// FUTEX_WAIT, FUTEX_WAKE, and FUTEX_REQUEUE as a wake; ENOSYS for others, as of priority inheritance.
long odonata_syscall(long number, ...);

/// Signals and unmapping, of which there is none.
void __block_app_sigs(void *), __block_all_sigs(void *), __restore_sigs(void *);
void __vm_lock(void), __vm_unlock(void), __vm_wait(void);

#define __syscall(...) odonata_syscall(__VA_ARGS__)
#define __syscall_cp(...) odonata_syscall(__VA_ARGS__)
