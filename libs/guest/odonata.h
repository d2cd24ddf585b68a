/*
 * odonata.h - what a guest program asks of its virtual kernel beyond WASI preview 1.
 *
 * The model.  A *dataspace* is named memory that any process of the cluster may map, on whatever node it runs.  A
 * mapping puts a range of a dataspace under a range of this program's own linear memory: from then on plain loads,
 * stores and atomics reach the shared bytes, and a page that is not here is brought in by a fault.  Memory is
 * sequentially consistent per page; a program that orders its accesses with atomics, range locks or wait/wake sees
 * sequential consistency overall.
 *
 * Rules for the caller
 *  1. Addresses, lengths and offsets of mappings are multiples of ODONATA_PAGE.  The last page of a dataspace is
 *     mapped whole, even where its size ends within the page; the bytes beyond the size are zero.
 *  2. Map over memory that nothing else uses: take it from odonata_reserve(), never from the middle of a malloc'd
 *     block that the allocator keeps its own headers in.
 *  3. Every function returns 0 or a WASI errno (the values of <errno.h> in wasi-libc, so strerror() names them).
 *  4. A store to a read-only mapping ends the process (SIGSEGV); so does an access to a page whose only copy died with
 *     its node (SIGBUS).
 *
 * Build with -matomics, so that __atomic_* become atomic instructions rather than plain ones.  Beware: clang 14 turns
 * them into plain ones all the same, without a word, in a source file that uses a thread-local variable, and errno is
 * one.  Keep errno and atomics in different source files; the calls below return their errno for that reason.
 *
 * Made by `npm run generate` from libs/guest/module/odonata.ts: change that, not this.
 */
#ifndef ODONATA_H
#define ODONATA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes in a page: the unit of mapping, of coherency and of transfer. */
#define ODONATA_PAGE 4096u

/** Results that a program is likely to tell apart; any other WASI errno may come too. */
enum {
  ODONATA_OK = 0,
  ODONATA_EACCES = 2,        /* the dataspace belongs to somebody who does not allow it */
  ODONATA_EAGAIN = 6,        /* wait32: the word does not hold the expected value */
  ODONATA_ECONNREFUSED = 14, /* connect: nobody listens there */
  ODONATA_ECONNABORTED = 13, /* connect, listen: vkerneld started anew */
  ODONATA_ECONNRESET = 15,   /* of a connection: the other side was killed, or the way to it is gone */
  ODONATA_EBADF = 8,         /* no such dataspace id, or descriptor, in this process */
  ODONATA_ECHILD = 12,       /* wait: there is no such child */
  ODONATA_EDEADLK = 16,      /* lock: waiting would never end */
  ODONATA_EDQUOT = 19,       /* ds_open: its user owns as many dataspaces as they may */
  ODONATA_EEXIST = 20,       /* ds_open: it exists, and EXCLUSIVE was asked */
  ODONATA_EINTR = 27,        /* a signal came, and its handler ran */
  ODONATA_EFAULT = 21,       /* a pointer outside linear memory */
  ODONATA_EINVAL = 28,       /* unaligned, empty or out of range; ds_open: it exists with another size */
  ODONATA_ENOENT = 44,       /* ds_open: no dataspace of that name, and CREATE was not asked */
  ODONATA_ENOMEM = 48,       /* over a quota */
  ODONATA_EOWNERDEAD = 62,   /* barrier: a member died */
  ODONATA_EPERM = 63,        /* kill: -1, which would be everything */
  ODONATA_ESRCH = 71,        /* kill: there is no such process */
  ODONATA_ENOSYS = 52,       /* of a dataspace of another cluster: sync is not there */
  ODONATA_ENOSPC = 51,       /* sync: the backing store, or its disk, is full */
  ODONATA_ETIMEDOUT = 73,    /* lock, barrier, wait32: the time is over */
};

/** Flags of odonata_ds_open. */
enum {
  ODONATA_OPEN_CREATE = 1,    /* make it where it is missing */
  ODONATA_OPEN_EXCLUSIVE = 2, /* with CREATE: fail with EEXIST where it is there */
  ODONATA_OPEN_DURABLE = 4,   /* with CREATE: with a backing store, see odonata_sync; EINVAL where it is there without */
};

/** Protections of odonata_ds_map. */
enum {
  ODONATA_READ = 1,
  ODONATA_READ_WRITE = 3,
};

/** Flags of odonata_spawn. */
enum {
  ODONATA_SPAWN_NEW_GROUP = 1, /* the child leads a process group of its own */
  ODONATA_SPAWN_SPREAD = 2,    /* no node is named: the node where the fewest processes run for its cores */
  ODONATA_SPAWN_SELF = 4,      /* the program of the parent; `fd` is not looked at */
  ODONATA_SPAWN_NEAR = 8,      /* `node` names a dataspace: the node that has the most of its pages */
  ODONATA_SPAWN_APART = 16,    /* no node is named: one where neither the parent nor another child of it runs; also with `NEAR` */
};

/** Actions of odonata_signal_action. */
enum {
  ODONATA_SIGNAL_DEFAULT = 0, /* the end of the process; nothing, or a stop, for some */
  ODONATA_SIGNAL_IGNORE = 1,  /* nothing */
  ODONATA_SIGNAL_HANDLER = 2, /* the function of odonata_signal_function, or the exported `odonata_signal(i32)` */
};

/** Flags of odonata_wait. */
enum {
  ODONATA_WAIT_NO_HANG = 1,   /* only look: `pid` is 0 where none has ended */
  ODONATA_WAIT_STOPPED = 2,   /* also a child that a signal stopped, once: `code` is CHILD_STOPPED */
  ODONATA_WAIT_CONTINUED = 8, /* also one that goes on, once: `code` is CHILD_CONTINUED */
};

/** Flags of odonata_terminal_set. */
enum {
  ODONATA_TERMINAL_FLUSH = 1, /* what was typed and not read is gone */
};

/** Codes of a child that did not end: see odonata_wait. */
enum {
  ODONATA_CHILD_STOPPED = 65536,    /* it was stopped, by `signal` */
  ODONATA_CHILD_CONTINUED = 131072, /* it goes on */
};

/** Flags of odonata_listen. */
enum {
  ODONATA_LISTEN_EVERYONE = 1, /* for programs of all people, where theirs may use the name; else of its own user */
};

/** Modes of odonata_lock. */
enum {
  ODONATA_LOCK_SHARED = 1,    /* with other SHARED holders */
  ODONATA_LOCK_EXCLUSIVE = 2, /* alone */
  ODONATA_LOCK_MODIFYING = 3, /* alone, with the intent to write */
};

/** An opened dataspace. */
struct odonata_dataspace {
  uint64_t id;
  uint64_t size_bytes;
};

/** What odonata_ds_stat() tells. */
struct odonata_stat {
  uint64_t size_bytes;
  uint64_t pages;
};

/** What odonata_spawn() and odonata_wait() tell. */
struct odonata_child {
  uint64_t pid;
  uint64_t code;
  uint64_t signal;
};

/** What odonata_pipe() makes. */
struct odonata_ends {
  uint64_t read;
  uint64_t write;
};

/** What odonata_terminal_get() tells: flags and control characters as Linux has them in termios. */
struct odonata_terminal {
  uint64_t input;
  uint64_t output;
  uint64_t local;
  uint64_t characters0;
  uint64_t characters8;
  uint64_t characters16;
  uint64_t rows;
  uint64_t columns;
  uint64_t foreground;
  uint64_t session;
};

/** What odonata_identify() tells. */
struct odonata_relatives {
  uint64_t pid;
  uint64_t parent;
  uint64_t group;
  uint64_t session;
};

#define ODONATA_IMPORT(name) __attribute__((import_module("odonata"), import_name(name)))

/**
 * Opens or creates the dataspace `name` (UTF-8, not terminated).  `size` in bytes counts when it is created; for one
 * that exists it must be the same (else EINVAL), or 0 for "whatever it is".  A new dataspace reads as zeros, and is
 * its user's alone (docs/ownership.md).
 */
ODONATA_IMPORT("ds_open")
int32_t odonata_ds_open(const char *name, uint32_t name_len, uint64_t size, int32_t flags,
                        struct odonata_dataspace *out);

/** Maps [offset, offset + len) of dataspace `id` over [addr, addr + len) of linear memory; what was there is lost. */
ODONATA_IMPORT("ds_map")
int32_t odonata_ds_map(uint64_t id, void *addr, uint32_t len, uint64_t offset, int32_t prot);

/** Ends mappings in [addr, addr + len); the range becomes fresh private zero memory. */
ODONATA_IMPORT("ds_unmap")
int32_t odonata_ds_unmap(void *addr, uint32_t len);

/** Size of an opened dataspace. */
ODONATA_IMPORT("ds_stat")
int32_t odonata_ds_stat(uint64_t id, struct odonata_stat *out);

/**
 * Locks the bytes [begin, end_inclusive] of a dataspace, cluster-wide and fair.  Offsets have a sign: the range need
 * not be mapped, nor lie within the size, nor be aligned; negative offsets are metadata space, names for what programs
 * agree on.  `timeout_ms`: below 0 waits for ever, 0 only tries.
 *
 * A process holds each byte in no mode or in one.  A lock gives every byte of its range its mode, whatever the process
 * held there: so a part of what is held can be upgraded or downgraded, and nothing is counted.  While it waits for an
 * upgrade the process keeps what it has.  EDEADLK: processes would wait for each other in a circle; unlock something
 * that others want, and begin again.  Held locks end with the process.
 *
 * The pages under a range of at most 64 pages are asked for together with the lock, where they are mapped: for writing
 * under EXCLUSIVE and MODIFYING, for reading under SHARED.  The lock does not wait for them: who touches one at once
 * waits for what is left of its way, and for no other of them again.
 */
ODONATA_IMPORT("lock")
int32_t odonata_lock(uint64_t id, int64_t begin, int64_t end_inclusive, int32_t mode, int64_t timeout_ms);

/** Releases whatever this process holds of [begin, end_inclusive], also part of a range that it locked as a whole. */
ODONATA_IMPORT("unlock")
int32_t odonata_unlock(uint64_t id, int64_t begin, int64_t end_inclusive);

/**
 * Waits until `count` processes have come to this generation of the barrier `name`, a number that the program chooses
 * within the dataspace.  A process comes to generation 0 first and to the next one after each that it passed; so it
 * counts its own calls.  Nobody passes before all `count` have come, whatever happens to the directory meanwhile: what
 * was said is said again to the next leader, by this number.
 *
 * One message there and back a process, at the directory: no page moves, and nobody wakes but to go on.
 *
 * EOWNERDEAD: a member died (it was killed, ended without coming, or its node is gone), so this generation will never
 * be complete; all others hear of it, those that wait and those that come later.  A program that begins anew takes
 * another name.  After ETIMEDOUT the process has not come, and may come again.  Who never came once is not known, nor
 * who died in generation 0 when its node and the leader of the directory went at once: a `timeout_ms` for generation 0
 * finds both.  Of the threads of a process one comes for all.
 */
ODONATA_IMPORT("barrier")
int32_t odonata_barrier(uint64_t id, int64_t name, uint32_t count, uint64_t generation, int64_t timeout_ms);

/**
 * Stores the bytes [offset, offset + len) of a durable dataspace, in whole pages, with what they hold when the call
 * begins or later; `len` 0 means all from `offset` on.  0 when the backing store has acknowledged all of it: from then
 * on these bytes, or later ones, survive the death of any node.  EIO: it may be stored in part (the store does not
 * answer, or a page cannot be read); ENOSPC: the store or its disk is full, and nothing that was stored is lost; the
 * same call succeeds when there is room again; EBUSY: the dataspace is not durable.
 */
ODONATA_IMPORT("sync")
int32_t odonata_sync(uint64_t id, uint64_t offset, uint64_t len);

/**
 * Removes the dataspace `name` and what it holds.  Whoever has it mapped keeps it from that, on whatever node: EBUSY.
 * The name is free then, and who opened it without mapping it has an `id` of nothing.
 */
ODONATA_IMPORT("ds_remove")
int32_t odonata_ds_remove(const char *name, uint32_t name_len);

/**
 * Connects to a server by TCP, where the program may: `vkctl run --connect` says where.  The descriptor reads, writes,
 * polls and closes as any; `sock_recv`, `sock_send` and `sock_shutdown` work on it.  The virtual kernel has no
 * network: its supervisor connects, resolves the name, and gives up after ten seconds.
 */
ODONATA_IMPORT("connect")
int32_t odonata_connect(const char *address, uint32_t address_len, uint32_t *fd);

/**
 * Listens by a name: programs on any node connect to it by odonata_connect_name().  Several may listen by one name, on
 * one node or many: a connection goes to one that has the fewest open.  The descriptor is ready for reading when a
 * connection waits; `sock_accept` takes it.  The name ends with the descriptor, or with the process.  After a new
 * start of vkerneld the next `sock_accept` listens again, by the same descriptor; of one that a child has of its
 * parent it is ECONNABORTED.
 */
ODONATA_IMPORT("listen")
int32_t odonata_listen(const char *name, uint32_t name_len, uint32_t backlog, int32_t flags, uint32_t *fd);

/**
 * Connects to a program that listens by a name, on whatever node: of several to one that has the fewest connections
 * open.  The descriptor is an ordered stream of bytes both ways: it reads, writes, polls and closes as any;
 * `sock_recv`, `sock_send` and `sock_shutdown` work on it.  A read is 0 bytes after the other side shut it down for
 * writing, closed it or exited; where the other side was killed, or what was between them is gone, it is ECONNRESET.
 * Whoever does not read stalls who writes, and nobody else.
 */
ODONATA_IMPORT("connect_name")
int32_t odonata_connect_name(const char *name, uint32_t name_len, uint32_t timeout_ms, uint32_t *fd);

/**
 * Names the bytes [offset, offset + len) of a dataspace for people: `vkctl ds hot` says which ranges nodes fight over,
 * and by this name.  It changes nothing else.  The same range may be named anew; an empty name takes the name away.
 * Names are kept by the node that the process runs on.
 */
ODONATA_IMPORT("name_range")
int32_t odonata_name_range(uint64_t id, uint64_t offset, uint64_t len, const char *name, uint32_t name_len);

/**
 * Sleeps until odonata_wake() on the same word of the same dataspace, from whichever mapping and node, if the word
 * still holds `expected` (else EAGAIN at once).  `timeout_ns` below 0 waits for ever.  Check the word again after 0.
 *
 * What it costs: where the word does not hold `expected`, an atomic load (below a microsecond, if its page is here);
 * else one round trip to the directory before it sleeps, and one message that ends the sleep.  So spin a little first
 * where the other side is quick.
 */
ODONATA_IMPORT("wait32")
int32_t odonata_wait32(const uint32_t *addr, uint32_t expected, int64_t timeout_ns);

/**
 * Wakes at most `count` sleepers on the word (UINT32_MAX: all); `*woken` gets how many.
 *
 * What it costs: one round trip to the directory, some 0.3 to 1.5 ms, each time: it leaves the node, also where nobody
 * sleeps, or the sleeper runs beside the caller.  So keep a count of sleepers in the dataspace, and call it only where
 * there are any; one call with a `count` wakes many.
 */
ODONATA_IMPORT("wake")
int32_t odonata_wake(const uint32_t *addr, uint32_t count, uint32_t *woken);

/**
 * Starts a child: the program that descriptor `fd` is open for reading to, in the virtual kernel of this process, or
 * in the one of the same name and user on another node.  It has this process' user, and no more memory, directories
 * and places to connect to than this process has; of the directories those that the other node allows, too.  Of this
 * process' descriptors it has those that `fds` names, but for directories: standard streams, pipes, connections,
 * devices, and files, at a position that both move; on another node as its standard streams only.  Where it has none
 * as a standard stream, its input is empty, and `vkctl logs` shows what it writes.  `odonata_wait()` tells its end;
 * whoever ends first leaves its children to init, which waits for all.
 */
ODONATA_IMPORT("spawn")
int32_t odonata_spawn(uint32_t fd, const char *args, uint32_t args_len, const char *env, uint32_t env_len,
                      const char *fds, uint32_t fds_len, const char *node, uint32_t node_len, int32_t flags,
                      uint64_t group, struct odonata_child *out);

/**
 * Waits for the end of a child, wherever it runs, and forgets it then; with WAIT_STOPPED and WAIT_CONTINUED for its
 * stops, too.  `pid`: -1 any, 0 any of this process' group, below -1 any of that group.  A node that is lost ends its
 * processes with signal 9.
 */
ODONATA_IMPORT("wait")
int32_t odonata_wait(int64_t pid, int32_t flags, struct odonata_child *out);

/**
 * Sends a signal to a process of the same user and virtual kernel, on whatever node; `pid` 0: to this process' group,
 * below -1 to that group.  `signal` 0 only looks whether it is there.
 */
ODONATA_IMPORT("kill")
int32_t odonata_kill(int64_t pid, int32_t signal);

/** Who a process of the same user and virtual kernel is to others. */
ODONATA_IMPORT("identify")
int32_t odonata_identify(uint64_t pid, struct odonata_relatives *out);

/** Puts this process, or a child of it, into a process group. */
ODONATA_IMPORT("set_group")
int32_t odonata_set_group(uint64_t pid, uint64_t group);

/**
 * How the terminal of this session is. A standard stream is one where `fd_fdstat_get` calls it a character device, on
 * whatever node its process runs.
 */
ODONATA_IMPORT("terminal_get")
int32_t odonata_terminal_get(uint32_t fd, struct odonata_terminal *out);

/** Changes how the terminal treats what is typed and written, from now on. */
ODONATA_IMPORT("terminal_set")
int32_t odonata_terminal_set(uint32_t fd, int32_t flags, uint32_t input, uint32_t output, uint32_t local,
                             const char *characters, uint32_t characters_len);

/** Says how large the terminal is: its foreground gets SIGWINCH where that is news. */
ODONATA_IMPORT("terminal_resize")
int32_t odonata_terminal_resize(uint32_t fd, uint32_t rows, uint32_t columns);

/** Says which process group is in the foreground: it gets the signals of keys, and it alone may read. */
ODONATA_IMPORT("terminal_foreground")
int32_t odonata_terminal_foreground(uint32_t fd, uint64_t group);

/**
 * A pipe, for children of this process: what is written to one end is read from the other, in order.  It holds some
 * 200 KiB; a write waits for room, a read for bytes; a read after the last writer closed or died is empty, a write
 * after the last reader did is EPIPE.
 */
ODONATA_IMPORT("pipe")
int32_t odonata_pipe(struct odonata_ends *out);

/** A descriptor once more, at the same position. */
ODONATA_IMPORT("dup")
int32_t odonata_dup(uint32_t fd, uint32_t to, uint32_t *out);

/**
 * What a signal comes to.  With HANDLER the program's exported function `odonata_signal`, or that of
 * odonata_signal_function(), is called with its number: at the return from a call, or in the middle of what the first
 * thread computes.  A call that waits ends with EINTR first: reads of standard input, polls and sleeps,
 * odonata_wait(), odonata_wait32().
 */
ODONATA_IMPORT("signal_action")
int32_t odonata_signal_action(int32_t signal, int32_t action);

/**
 * Which function HANDLER calls from now on, instead of the exported `odonata_signal`: its number in the program's
 * table, which is what its address is in C.  It takes the number of a signal, and returns nothing.  A linker of
 * commands may wrap each function that is exported (wasm-ld does, where the C library begins by what is exported, as
 * that of Debian 12): a wrapper runs constructors and what atexit() has at each call.
 */
ODONATA_IMPORT("signal_function")
int32_t odonata_signal_function(uint32_t index);

/**
 * Where this program leaves its stack while it is parked; once, before it waits.  A program that has this call is one
 * that Asyncify went through.
 */
ODONATA_IMPORT("park_area")
int32_t odonata_park_area(void *addr, uint32_t len);

/** Makes a session and a process group of this process alone. */
ODONATA_IMPORT("set_session")
int32_t odonata_set_session(void);

/**
 * Here a snapshot of this program may be taken, by `vkctl snapshot`: returns 0 at once where nobody asked for one, 1
 * where one was taken.  A program of which there can be one exports `odonata_resume`, a function of nothing: what is
 * started from the snapshot begins there, with the memory and the globals as they are here, and ends where it returns.
 */
ODONATA_IMPORT("snapshot")
int32_t odonata_snapshot(void);

/** The node that this process runs on. */
ODONATA_IMPORT("node_id")
int32_t odonata_node_id(void);

/** The virtual kernel, numbered within its node. */
ODONATA_IMPORT("vkernel_id")
int32_t odonata_vkernel_id(void);

/** This process's cluster-wide pid. */
ODONATA_IMPORT("process_id")
int64_t odonata_process_id(void);

#undef ODONATA_IMPORT

/**
 * Once, in a source file of a program that `wasm-opt --asyncify` goes through: its thread may end while it waits (in a sleep, for its
 * standard input, in odonata_lock, odonata_barrier or odonata_wait), and another one goes on from there.  What is on its
 * stack then has to fit `bytes`, a multiple of 4: some 100 a function that it is in.
 */
#define ODONATA_PARKABLE(bytes)                                                                                       \
  __attribute__((constructor)) static void odonata_parkable(void) {                                                   \
    static uint32_t stack[(bytes) / 4];                                                                               \
    odonata_park_area(stack, sizeof stack);                                                                           \
  }

/** odonata_signal_function() with a function of C. */
static inline int32_t odonata_on_signal(void (*handler)(int32_t signal)) {
  static void (*volatile kept)(int32_t);
  int32_t error = odonata_signal_function((uint32_t)(uintptr_t)handler);
  kept = handler;
  /* Never so; but what optimises a whole program (wasm-opt) empties a function that it sees nobody call. */
  if (error < 0) kept(0);
  return error;
}

/** `bytes` rounded up to whole pages. */
static inline uint64_t odonata_round_up(uint64_t bytes) {
  return (bytes + ODONATA_PAGE - 1) / ODONATA_PAGE * ODONATA_PAGE;
}

/**
 * Grows linear memory by at least `bytes` and gives the new, page-aligned and never touched range; NULL when memory
 * cannot grow so far.  It is never given back: reserve once, map and unmap within.
 */
static inline void *odonata_reserve(uint64_t bytes) {
  const uint64_t wasm_page = 65536;
  uint64_t pages = (bytes + wasm_page - 1) / wasm_page;
  if (pages == 0 || pages > 65535) return NULL;
  size_t before = __builtin_wasm_memory_grow(0, (size_t)pages);
  return before == (size_t)-1 ? NULL : (void *)(before * wasm_page);
}

/**
 * Reserves memory for the whole of an opened dataspace and maps it there: `*addr` gets the first byte.  ENOMEM where
 * linear memory cannot grow so far.
 */
static inline int32_t odonata_ds_map_whole(const struct odonata_dataspace *ds, int32_t prot, void **addr) {
  uint64_t len = odonata_round_up(ds->size_bytes);
  if (len == 0 || len > UINT32_MAX - 65535) return ODONATA_EINVAL;
  void *base = odonata_reserve(len);
  if (base == NULL) return ODONATA_ENOMEM;
  *addr = base;
  return odonata_ds_map(ds->id, base, (uint32_t)len, 0, prot);
}

/**
 * Brings the pages of a mapped range here for writing, in order, without changing a byte.  A plain load and store
 * would fault twice a page (read, then upgrade); to exchange a zero for a zero, where one is there, asks for write access
 * at once.  (An atomic addition does not: V8's baseline code faults for reading first.)  `addr` is aligned to 4 bytes.
 */
static inline void odonata_touch_for_write(void *addr, size_t len) {
  if (len == 0) return;
  unsigned char *last = (unsigned char *)((uintptr_t)addr + ((len - 1) & ~(size_t)3));
  for (unsigned char *at = (unsigned char *)addr;; at = (size_t)(last - at) > ODONATA_PAGE ? at + ODONATA_PAGE : last) {
    uint32_t zero = 0;
    __atomic_compare_exchange_n((uint32_t *)at, &zero, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (at == last) break;
  }
}

#ifdef __cplusplus
}
#endif

#endif
