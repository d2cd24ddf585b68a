//! What a Rust guest asks of its virtual kernel beyond WASI preview 1. The model and the caller's rules stand in odonata.h,
//! beside this folder; the names and results are the same.
//!
//! Build with `-C target-feature=+atomics`, so that atomics are atomic.
//!
//! Made by `npm run generate` from libs/guest/module/odonata.ts: change that, not this.
#![no_std]

/// Bytes in a page: the unit of mapping, of coherency and of transfer.
pub const PAGE: usize = 4096;

// Results that a program is likely to tell apart; any other WASI errno may come too.
pub const OK: i32 = 0;
pub const EACCES: i32 = 2;
pub const EAGAIN: i32 = 6;
pub const ECONNREFUSED: i32 = 14;
pub const ECONNABORTED: i32 = 13;
pub const ECONNRESET: i32 = 15;
pub const EBADF: i32 = 8;
pub const ECHILD: i32 = 12;
pub const EDEADLK: i32 = 16;
pub const EDQUOT: i32 = 19;
pub const EEXIST: i32 = 20;
pub const EINTR: i32 = 27;
pub const EFAULT: i32 = 21;
pub const EINVAL: i32 = 28;
pub const ENOENT: i32 = 44;
pub const ENOMEM: i32 = 48;
pub const EOWNERDEAD: i32 = 62;
pub const EPERM: i32 = 63;
pub const ESRCH: i32 = 71;
pub const ENOSYS: i32 = 52;
pub const ENOSPC: i32 = 51;
pub const ETIMEDOUT: i32 = 73;

// Flags of `ds_open`.
pub const OPEN_CREATE: i32 = 1;
pub const OPEN_EXCLUSIVE: i32 = 2;
pub const OPEN_DURABLE: i32 = 4;

// Protections of `ds_map`.
pub const READ: i32 = 1;
pub const READ_WRITE: i32 = 3;

// Flags of `spawn`.
pub const SPAWN_NEW_GROUP: i32 = 1;
pub const SPAWN_SPREAD: i32 = 2;
pub const SPAWN_SELF: i32 = 4;
pub const SPAWN_NEAR: i32 = 8;
pub const SPAWN_APART: i32 = 16;

// Actions of `signal_action`.
pub const SIGNAL_DEFAULT: i32 = 0;
pub const SIGNAL_IGNORE: i32 = 1;
pub const SIGNAL_HANDLER: i32 = 2;

// Flags of `wait`.
pub const WAIT_NO_HANG: i32 = 1;
pub const WAIT_STOPPED: i32 = 2;
pub const WAIT_CONTINUED: i32 = 8;

// Flags of `terminal_set`.
pub const TERMINAL_FLUSH: i32 = 1;

// Codes of a child that did not end: see `wait`.
pub const CHILD_STOPPED: i32 = 65536;
pub const CHILD_CONTINUED: i32 = 131072;

// Flags of `listen`.
pub const LISTEN_EVERYONE: i32 = 1;

// Modes of `lock`.
pub const LOCK_SHARED: i32 = 1;
pub const LOCK_EXCLUSIVE: i32 = 2;
pub const LOCK_MODIFYING: i32 = 3;

/// An opened dataspace.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Dataspace {
    /// names it in the other calls of this process
    pub id: u64,
    /// as it was created
    pub size_bytes: u64,
}

/// What `ds_stat` tells.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Stat {
    /// as it was created
    pub size_bytes: u64,
    /// that this size takes, the last one whole
    pub pages: u64,
}

/// What `spawn` and `wait` tell.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Child {
    /// of the child; 0: none has ended
    pub pid: u64,
    /// its exit code, or 128 and the number of the signal; of one that did not end, of CHILD_
    pub code: u64,
    /// that ended or stopped it, as WASI numbers it; 0: none did
    pub signal: u64,
}

/// What `pipe` makes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// the descriptor to read from
    pub read: u64,
    /// the descriptor to write to
    pub write: u64,
}

/// What `terminal_get` tells: flags and control characters as Linux has them in termios.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// c_iflag
    pub input: u64,
    /// c_oflag
    pub output: u64,
    /// c_lflag
    pub local: u64,
    /// c_cc, a byte each, the first one lowest
    pub characters0: u64,
    /// c_cc from 8 on
    pub characters8: u64,
    /// c_cc from 16 on
    pub characters16: u64,
    /// lines
    pub rows: u64,
    /// characters of a line
    pub columns: u64,
    /// the group of the foreground
    pub foreground: u64,
    /// its session
    pub session: u64,
}

/// What `identify` tells.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Relatives {
    /// the process
    pub pid: u64,
    /// 0: it was started from outside; 1: its parent is over
    pub parent: u64,
    /// its process group
    pub group: u64,
    /// its session
    pub session: u64,
}

#[link(wasm_import_module = "odonata")]
extern "C" {
    /// Opens or creates the dataspace `name` (UTF-8, not terminated).  `size` in bytes counts when it is created; for
    /// one that exists it must be the same (else EINVAL), or 0 for "whatever it is".  A new dataspace reads as zeros,
    /// and is its user's alone (docs/ownership.md).
    pub fn ds_open(name: *const u8, name_len: u32, size: u64, flags: i32, out: *mut Dataspace) -> i32;

    /// Maps [offset, offset + len) of dataspace `id` over [addr, addr + len) of linear memory; what was there is
    /// lost.
    pub fn ds_map(id: u64, addr: *mut u8, len: u32, offset: u64, prot: i32) -> i32;

    /// Ends mappings in [addr, addr + len); the range becomes fresh private zero memory.
    pub fn ds_unmap(addr: *mut u8, len: u32) -> i32;

    /// Size of an opened dataspace.
    pub fn ds_stat(id: u64, out: *mut Stat) -> i32;

    /// Locks the bytes [begin, end_inclusive] of a dataspace, cluster-wide and fair.  Offsets have a sign: the range
    /// need not be mapped, nor lie within the size, nor be aligned; negative offsets are metadata space, names for
    /// what programs agree on.  `timeout_ms`: below 0 waits for ever, 0 only tries.
    ///
    /// A process holds each byte in no mode or in one.  A lock gives every byte of its range its mode, whatever the
    /// process held there: so a part of what is held can be upgraded or downgraded, and nothing is counted.  While it
    /// waits for an upgrade the process keeps what it has.  EDEADLK: processes would wait for each other in a circle;
    /// unlock something that others want, and begin again.  Held locks end with the process.
    ///
    /// The pages under a range of at most 64 pages are asked for together with the lock, where they are mapped: for
    /// writing under EXCLUSIVE and MODIFYING, for reading under SHARED.  The lock does not wait for them: who touches
    /// one at once waits for what is left of its way, and for no other of them again.
    pub fn lock(id: u64, begin: i64, end_inclusive: i64, mode: i32, timeout_ms: i64) -> i32;

    /// Releases whatever this process holds of [begin, end_inclusive], also part of a range that it locked as a
    /// whole.
    pub fn unlock(id: u64, begin: i64, end_inclusive: i64) -> i32;

    /// Waits until `count` processes have come to this generation of the barrier `name`, a number that the program
    /// chooses within the dataspace.  A process comes to generation 0 first and to the next one after each that it
    /// passed; so it counts its own calls.  Nobody passes before all `count` have come, whatever happens to the
    /// directory meanwhile: what was said is said again to the next leader, by this number.
    ///
    /// One message there and back a process, at the directory: no page moves, and nobody wakes but to go on.
    ///
    /// EOWNERDEAD: a member died (it was killed, ended without coming, or its node is gone), so this generation will
    /// never be complete; all others hear of it, those that wait and those that come later.  A program that begins
    /// anew takes another name.  After ETIMEDOUT the process has not come, and may come again.  Who never came once
    /// is not known, nor who died in generation 0 when its node and the leader of the directory went at once: a
    /// `timeout_ms` for generation 0 finds both.  Of the threads of a process one comes for all.
    pub fn barrier(id: u64, name: i64, count: u32, generation: u64, timeout_ms: i64) -> i32;

    /// Stores the bytes [offset, offset + len) of a durable dataspace, in whole pages, with what they hold when the
    /// call begins or later; `len` 0 means all from `offset` on.  0 when the backing store has acknowledged all of
    /// it: from then on these bytes, or later ones, survive the death of any node.  EIO: it may be stored in part
    /// (the store does not answer, or a page cannot be read); ENOSPC: the store or its disk is full, and nothing that
    /// was stored is lost; the same call succeeds when there is room again; EBUSY: the dataspace is not durable.
    pub fn sync(id: u64, offset: u64, len: u64) -> i32;

    /// Removes the dataspace `name` and what it holds.  Whoever has it mapped keeps it from that, on whatever node:
    /// EBUSY.  The name is free then, and who opened it without mapping it has an `id` of nothing.
    pub fn ds_remove(name: *const u8, name_len: u32) -> i32;

    /// Connects to a server by TCP, where the program may: `vkctl run --connect` says where.  The descriptor reads,
    /// writes, polls and closes as any; `sock_recv`, `sock_send` and `sock_shutdown` work on it.  The virtual kernel
    /// has no network: its supervisor connects, resolves the name, and gives up after ten seconds.
    pub fn connect(address: *const u8, address_len: u32, fd: *mut u32) -> i32;

    /// Listens by a name: programs on any node connect to it by `connect_name`.  Several may listen by one name, on
    /// one node or many: a connection goes to one that has the fewest open.  The descriptor is ready for reading when
    /// a connection waits; `sock_accept` takes it.  The name ends with the descriptor, or with the process.  After a
    /// new start of vkerneld the next `sock_accept` listens again, by the same descriptor; of one that a child has of
    /// its parent it is ECONNABORTED.
    pub fn listen(name: *const u8, name_len: u32, backlog: u32, flags: i32, fd: *mut u32) -> i32;

    /// Connects to a program that listens by a name, on whatever node: of several to one that has the fewest
    /// connections open.  The descriptor is an ordered stream of bytes both ways: it reads, writes, polls and closes
    /// as any; `sock_recv`, `sock_send` and `sock_shutdown` work on it.  A read is 0 bytes after the other side shut
    /// it down for writing, closed it or exited; where the other side was killed, or what was between them is gone,
    /// it is ECONNRESET.  Whoever does not read stalls who writes, and nobody else.
    pub fn connect_name(name: *const u8, name_len: u32, timeout_ms: u32, fd: *mut u32) -> i32;

    /// Names the bytes [offset, offset + len) of a dataspace for people: `vkctl ds hot` says which ranges nodes fight
    /// over, and by this name.  It changes nothing else.  The same range may be named anew; an empty name takes the
    /// name away.  Names are kept by the node that the process runs on.
    pub fn name_range(id: u64, offset: u64, len: u64, name: *const u8, name_len: u32) -> i32;

    /// Sleeps until `wake` on the same word of the same dataspace, from whichever mapping and node, if the word still
    /// holds `expected` (else EAGAIN at once).  `timeout_ns` below 0 waits for ever.  Check the word again after 0.
    ///
    /// What it costs: where the word does not hold `expected`, an atomic load (below a microsecond, if its page is
    /// here); else one round trip to the directory before it sleeps, and one message that ends the sleep.  So spin a
    /// little first where the other side is quick.
    pub fn wait32(addr: *const u32, expected: u32, timeout_ns: i64) -> i32;

    /// Wakes at most `count` sleepers on the word (UINT32_MAX: all); `*woken` gets how many.
    ///
    /// What it costs: one round trip to the directory, some 0.3 to 1.5 ms, each time: it leaves the node, also where
    /// nobody sleeps, or the sleeper runs beside the caller.  So keep a count of sleepers in the dataspace, and call
    /// it only where there are any; one call with a `count` wakes many.
    pub fn wake(addr: *const u32, count: u32, woken: *mut u32) -> i32;

    /// Starts a child: the program that descriptor `fd` is open for reading to, in the virtual kernel of this
    /// process, or in the one of the same name and user on another node.  It has this process' user, and no more
    /// memory, directories and places to connect to than this process has; of the directories those that the other
    /// node allows, too.  Of this process' descriptors it has those that `fds` names, but for directories: standard
    /// streams, pipes, connections, devices, and files, at a position that both move; on another node as its standard
    /// streams only.  Where it has none as a standard stream, its input is empty, and `vkctl logs` shows what it
    /// writes.  ``wait`` tells its end; whoever ends first leaves its children to init, which waits for all.
    pub fn spawn(fd: u32, args: *const u8, args_len: u32, env: *const u8, env_len: u32, fds: *const u8, fds_len: u32, node: *const u8, node_len: u32, flags: i32, group: u64, out: *mut Child) -> i32;

    /// Waits for the end of a child, wherever it runs, and forgets it then; with WAIT_STOPPED and WAIT_CONTINUED for
    /// its stops, too.  `pid`: -1 any, 0 any of this process' group, below -1 any of that group.  A node that is lost
    /// ends its processes with signal 9.
    pub fn wait(pid: i64, flags: i32, out: *mut Child) -> i32;

    /// Sends a signal to a process of the same user and virtual kernel, on whatever node; `pid` 0: to this process'
    /// group, below -1 to that group.  `signal` 0 only looks whether it is there.
    pub fn kill(pid: i64, signal: i32) -> i32;

    /// Who a process of the same user and virtual kernel is to others.
    pub fn identify(pid: u64, out: *mut Relatives) -> i32;

    /// Puts this process, or a child of it, into a process group.
    pub fn set_group(pid: u64, group: u64) -> i32;

    /// How the terminal of this session is. A standard stream is one where `fd_fdstat_get` calls it a character
    /// device, on whatever node its process runs.
    pub fn terminal_get(fd: u32, out: *mut Terminal) -> i32;

    /// Changes how the terminal treats what is typed and written, from now on.
    pub fn terminal_set(fd: u32, flags: i32, input: u32, output: u32, local: u32, characters: *const u8, characters_len: u32) -> i32;

    /// Says how large the terminal is: its foreground gets SIGWINCH where that is news.
    pub fn terminal_resize(fd: u32, rows: u32, columns: u32) -> i32;

    /// Says which process group is in the foreground: it gets the signals of keys, and it alone may read.
    pub fn terminal_foreground(fd: u32, group: u64) -> i32;

    /// A pipe, for children of this process: what is written to one end is read from the other, in order.  It holds
    /// some 200 KiB; a write waits for room, a read for bytes; a read after the last writer closed or died is empty,
    /// a write after the last reader did is EPIPE.
    pub fn pipe(out: *mut Ends) -> i32;

    /// A descriptor once more, at the same position.
    pub fn dup(fd: u32, to: u32, out: *mut u32) -> i32;

    /// What a signal comes to.  With HANDLER the program's exported function `odonata_signal`, or that of
    /// `signal_function`, is called with its number: at the return from a call, or in the middle of what the first
    /// thread computes.  A call that waits ends with EINTR first: reads of standard input, polls and sleeps, `wait`,
    /// `wait32`.
    pub fn signal_action(signal: i32, action: i32) -> i32;

    /// Which function HANDLER calls from now on, instead of the exported `odonata_signal`: its number in the
    /// program's table, which is what its address is in C.  It takes the number of a signal, and returns nothing.  A
    /// linker of commands may wrap each function that is exported (wasm-ld does, where the C library begins by what
    /// is exported, as that of Debian 12): a wrapper runs constructors and what atexit() has at each call.
    pub fn signal_function(index: u32) -> i32;

    /// Where this program leaves its stack while it is parked; once, before it waits.  A program that has this call
    /// is one that Asyncify went through.
    pub fn park_area(addr: *mut u8, len: u32) -> i32;

    /// Makes a session and a process group of this process alone.
    pub fn set_session() -> i32;

    /// Here a snapshot of this program may be taken, by `vkctl snapshot`: returns 0 at once where nobody asked for
    /// one, 1 where one was taken.  A program of which there can be one exports `odonata_resume`, a function of
    /// nothing: what is started from the snapshot begins there, with the memory and the globals as they are here, and
    /// ends where it returns.
    pub fn snapshot() -> i32;

    /// The node that this process runs on.
    pub fn node_id() -> i32;

    /// The virtual kernel, numbered within its node.
    pub fn vkernel_id() -> i32;

    /// This process's cluster-wide pid.
    pub fn process_id() -> i64;
}

/// Grows linear memory by at least `bytes` and gives the new, page-aligned and never touched range; null when memory cannot
/// grow so far. It is never given back: reserve once, map and unmap within.
pub fn reserve(bytes: usize) -> *mut u8 {
    let before = core::arch::wasm32::memory_grow(0, (bytes + 65535) / 65536);
    if before == usize::MAX {
        core::ptr::null_mut()
    } else {
        (before * 65536) as *mut u8
    }
}

impl Dataspace {
    /// Opens or creates the dataspace `name`; size 0 takes one that exists as it is. An error is an errno of WASI.
    pub fn open(name: &str, size: u64, flags: i32) -> Result<Dataspace, i32> {
        let mut opened = Dataspace::default();
        match unsafe { ds_open(name.as_ptr(), name.len() as u32, size, flags, &mut opened) } {
            OK => Ok(opened),
            errno => Err(errno),
        }
    }

    /// Reserves memory for all of it and maps it there.
    pub fn map_whole(&self, protection: i32) -> Result<*mut u8, i32> {
        let bytes = (self.size_bytes as usize + PAGE - 1) / PAGE * PAGE;
        let at = reserve(bytes);
        if at.is_null() {
            return Err(ENOMEM);
        }
        match unsafe { ds_map(self.id, at, bytes as u32, 0, protection) } {
            OK => Ok(at),
            errno => Err(errno),
        }
    }
}

/// Connects to HOST:PORT. A descriptor, for `std::os::fd::FromRawFd`; an error is an errno of WASI.
pub fn connect_to(address: &str) -> Result<u32, i32> {
    let mut fd = 0;
    match unsafe { connect(address.as_ptr(), address.len() as u32, &mut fd) } {
        OK => Ok(fd),
        errno => Err(errno),
    }
}

/// Listens by a name. A descriptor, for `from_raw_fd` of `std::net::TcpListener`; an error is an errno of WASI.
pub fn listen_on(name: &str, backlog: u32, flags: i32) -> Result<u32, i32> {
    let mut fd = 0;
    match unsafe { listen(name.as_ptr(), name.len() as u32, backlog, flags, &mut fd) } {
        OK => Ok(fd),
        errno => Err(errno),
    }
}

/// Connects to whoever listens by a name, within so many milliseconds. A descriptor, for `TcpStream`.
pub fn connect_to_name(name: &str, timeout_ms: u32) -> Result<u32, i32> {
    let mut fd = 0;
    match unsafe { connect_name(name.as_ptr(), name.len() as u32, timeout_ms, &mut fd) } {
        OK => Ok(fd),
        errno => Err(errno),
    }
}
