// Package odonata is what a Go guest (GOOS=wasip1) asks of its virtual kernel beyond WASI preview 1. The model and the
// caller's rules stand in odonata.h, beside this folder; the names, with capitals as Go has them, and the results are the same.
//
// Go's compiler makes plain accesses of sync/atomic here: guard what is shared by Lock and Unlock.
//
// Made by `npm run generate` from libs/guest/module/odonata.ts: change that, not this.
package odonata

import "unsafe"

// Bytes in a page: the unit of mapping, of coherency and of transfer.
const Page = 4096

// Results that a program is likely to tell apart; any other WASI errno may come too.
const (
	OK           int32 = 0
	EACCES       int32 = 2
	EAGAIN       int32 = 6
	ECONNREFUSED int32 = 14
	ECONNABORTED int32 = 13
	ECONNRESET   int32 = 15
	EBADF        int32 = 8
	ECHILD       int32 = 12
	EDEADLK      int32 = 16
	EDQUOT       int32 = 19
	EEXIST       int32 = 20
	EINTR        int32 = 27
	EFAULT       int32 = 21
	EINVAL       int32 = 28
	ENOENT       int32 = 44
	ENOMEM       int32 = 48
	EOWNERDEAD   int32 = 62
	EPERM        int32 = 63
	ESRCH        int32 = 71
	ENOSYS       int32 = 52
	ENOSPC       int32 = 51
	ETIMEDOUT    int32 = 73
)

// Flags of DsOpen.
const (
	OpenCreate    int32 = 1
	OpenExclusive int32 = 2
	OpenDurable   int32 = 4
)

// Protections of DsMap.
const (
	Read      int32 = 1
	ReadWrite int32 = 3
)

// Flags of Spawn.
const (
	SpawnNewGroup int32 = 1
	SpawnSpread   int32 = 2
	SpawnSelf     int32 = 4
	SpawnNear     int32 = 8
	SpawnApart    int32 = 16
)

// Actions of SignalAction.
const (
	SignalDefault int32 = 0
	SignalIgnore  int32 = 1
	SignalHandler int32 = 2
)

// Flags of Wait.
const (
	WaitNoHang    int32 = 1
	WaitStopped   int32 = 2
	WaitContinued int32 = 8
)

// Flags of TerminalSet.
const (
	TerminalFlush int32 = 1
)

// Codes of a child that did not end: see Wait.
const (
	ChildStopped   int32 = 65536
	ChildContinued int32 = 131072
)

// Flags of Listen.
const (
	ListenEveryone int32 = 1
)

// Modes of Lock.
const (
	LockShared    int32 = 1
	LockExclusive int32 = 2
	LockModifying int32 = 3
)

// An opened dataspace.
type Dataspace struct {
	// names it in the other calls of this process
	ID uint64
	// as it was created
	SizeBytes uint64
}

// What DsStat tells.
type Stat struct {
	// as it was created
	SizeBytes uint64
	// that this size takes, the last one whole
	Pages uint64
}

// What Spawn and Wait tell.
type Child struct {
	// of the child; 0: none has ended
	Pid uint64
	// its exit code, or 128 and the number of the signal; of one that did not end, of CHILD_
	Code uint64
	// that ended or stopped it, as WASI numbers it; 0: none did
	Signal uint64
}

// What Pipe makes.
type Ends struct {
	// the descriptor to read from
	Read uint64
	// the descriptor to write to
	Write uint64
}

// What TerminalGet tells: flags and control characters as Linux has them in termios.
type Terminal struct {
	// c_iflag
	Input uint64
	// c_oflag
	Output uint64
	// c_lflag
	Local uint64
	// c_cc, a byte each, the first one lowest
	Characters0 uint64
	// c_cc from 8 on
	Characters8 uint64
	// c_cc from 16 on
	Characters16 uint64
	// lines
	Rows uint64
	// characters of a line
	Columns uint64
	// the group of the foreground
	Foreground uint64
	// its session
	Session uint64
}

// What Identify tells.
type Relatives struct {
	// the process
	Pid uint64
	// 0: it was started from outside; 1: its parent is over
	Parent uint64
	// its process group
	Group uint64
	// its session
	Session uint64
}

// Opens or creates the dataspace `name` (UTF-8, not terminated).  `size` in bytes counts when it is created; for one
// that exists it must be the same (else EINVAL), or 0 for "whatever it is".  A new dataspace reads as zeros, and is
// its user's alone (docs/ownership.md).
//
//go:wasmimport odonata ds_open
//go:noescape
func DsOpen(name unsafe.Pointer, nameLen uint32, size uint64, flags int32, out unsafe.Pointer) int32

// Maps [offset, offset + len) of dataspace `id` over [addr, addr + len) of linear memory; what was there is lost.
//
//go:wasmimport odonata ds_map
//go:noescape
func DsMap(id uint64, addr unsafe.Pointer, len uint32, offset uint64, prot int32) int32

// Ends mappings in [addr, addr + len); the range becomes fresh private zero memory.
//
//go:wasmimport odonata ds_unmap
//go:noescape
func DsUnmap(addr unsafe.Pointer, len uint32) int32

// Size of an opened dataspace.
//
//go:wasmimport odonata ds_stat
//go:noescape
func DsStat(id uint64, out unsafe.Pointer) int32

// Locks the bytes [begin, end_inclusive] of a dataspace, cluster-wide and fair.  Offsets have a sign: the range need
// not be mapped, nor lie within the size, nor be aligned; negative offsets are metadata space, names for what
// programs agree on.  `timeout_ms`: below 0 waits for ever, 0 only tries.
//
// A process holds each byte in no mode or in one.  A lock gives every byte of its range its mode, whatever the
// process held there: so a part of what is held can be upgraded or downgraded, and nothing is counted.  While it
// waits for an upgrade the process keeps what it has.  EDEADLK: processes would wait for each other in a circle;
// unlock something that others want, and begin again.  Held locks end with the process.
//
// The pages under a range of at most 64 pages are asked for together with the lock, where they are mapped: for
// writing under EXCLUSIVE and MODIFYING, for reading under SHARED.  The lock does not wait for them: who touches one
// at once waits for what is left of its way, and for no other of them again.
//
//go:wasmimport odonata lock
//go:noescape
func Lock(id uint64, begin int64, endInclusive int64, mode int32, timeoutMs int64) int32

// Releases whatever this process holds of [begin, end_inclusive], also part of a range that it locked as a whole.
//
//go:wasmimport odonata unlock
//go:noescape
func Unlock(id uint64, begin int64, endInclusive int64) int32

// Waits until `count` processes have come to this generation of the barrier `name`, a number that the program chooses
// within the dataspace.  A process comes to generation 0 first and to the next one after each that it passed; so it
// counts its own calls.  Nobody passes before all `count` have come, whatever happens to the directory meanwhile:
// what was said is said again to the next leader, by this number.
//
// One message there and back a process, at the directory: no page moves, and nobody wakes but to go on.
//
// EOWNERDEAD: a member died (it was killed, ended without coming, or its node is gone), so this generation will never
// be complete; all others hear of it, those that wait and those that come later.  A program that begins anew takes
// another name.  After ETIMEDOUT the process has not come, and may come again.  Who never came once is not known, nor
// who died in generation 0 when its node and the leader of the directory went at once: a `timeout_ms` for generation
// 0 finds both.  Of the threads of a process one comes for all.
//
//go:wasmimport odonata barrier
//go:noescape
func Barrier(id uint64, name int64, count uint32, generation uint64, timeoutMs int64) int32

// Stores the bytes [offset, offset + len) of a durable dataspace, in whole pages, with what they hold when the call
// begins or later; `len` 0 means all from `offset` on.  0 when the backing store has acknowledged all of it: from
// then on these bytes, or later ones, survive the death of any node.  EIO: it may be stored in part (the store does
// not answer, or a page cannot be read); ENOSPC: the store or its disk is full, and nothing that was stored is lost;
// the same call succeeds when there is room again; EBUSY: the dataspace is not durable.
//
//go:wasmimport odonata sync
//go:noescape
func Sync(id uint64, offset uint64, len uint64) int32

// Removes the dataspace `name` and what it holds.  Whoever has it mapped keeps it from that, on whatever node: EBUSY.
// The name is free then, and who opened it without mapping it has an `id` of nothing.
//
//go:wasmimport odonata ds_remove
//go:noescape
func DsRemove(name unsafe.Pointer, nameLen uint32) int32

// Connects to a server by TCP, where the program may: `vkctl run --connect` says where.  The descriptor reads,
// writes, polls and closes as any; `sock_recv`, `sock_send` and `sock_shutdown` work on it.  The virtual kernel has
// no network: its supervisor connects, resolves the name, and gives up after ten seconds.
//
//go:wasmimport odonata connect
//go:noescape
func Connect(address unsafe.Pointer, addressLen uint32, fd unsafe.Pointer) int32

// Listens by a name: programs on any node connect to it by ConnectName.  Several may listen by one name, on one node
// or many: a connection goes to one that has the fewest open.  The descriptor is ready for reading when a connection
// waits; `sock_accept` takes it.  The name ends with the descriptor, or with the process.  After a new start of
// vkerneld the next `sock_accept` listens again, by the same descriptor; of one that a child has of its parent it is
// ECONNABORTED.
//
//go:wasmimport odonata listen
//go:noescape
func Listen(name unsafe.Pointer, nameLen uint32, backlog uint32, flags int32, fd unsafe.Pointer) int32

// Connects to a program that listens by a name, on whatever node: of several to one that has the fewest connections
// open.  The descriptor is an ordered stream of bytes both ways: it reads, writes, polls and closes as any;
// `sock_recv`, `sock_send` and `sock_shutdown` work on it.  A read is 0 bytes after the other side shut it down for
// writing, closed it or exited; where the other side was killed, or what was between them is gone, it is ECONNRESET.
// Whoever does not read stalls who writes, and nobody else.
//
//go:wasmimport odonata connect_name
//go:noescape
func ConnectName(name unsafe.Pointer, nameLen uint32, timeoutMs uint32, fd unsafe.Pointer) int32

// Names the bytes [offset, offset + len) of a dataspace for people: `vkctl ds hot` says which ranges nodes fight
// over, and by this name.  It changes nothing else.  The same range may be named anew; an empty name takes the name
// away.  Names are kept by the node that the process runs on.
//
//go:wasmimport odonata name_range
//go:noescape
func NameRange(id uint64, offset uint64, len uint64, name unsafe.Pointer, nameLen uint32) int32

// Sleeps until Wake on the same word of the same dataspace, from whichever mapping and node, if the word still holds
// `expected` (else EAGAIN at once).  `timeout_ns` below 0 waits for ever.  Check the word again after 0.
//
// What it costs: where the word does not hold `expected`, an atomic load (below a microsecond, if its page is here);
// else one round trip to the directory before it sleeps, and one message that ends the sleep.  So spin a little first
// where the other side is quick.
//
//go:wasmimport odonata wait32
//go:noescape
func Wait32(addr unsafe.Pointer, expected uint32, timeoutNs int64) int32

// Wakes at most `count` sleepers on the word (UINT32_MAX: all); `*woken` gets how many.
//
// What it costs: one round trip to the directory, some 0.3 to 1.5 ms, each time: it leaves the node, also where
// nobody sleeps, or the sleeper runs beside the caller.  So keep a count of sleepers in the dataspace, and call it
// only where there are any; one call with a `count` wakes many.
//
//go:wasmimport odonata wake
//go:noescape
func Wake(addr unsafe.Pointer, count uint32, woken unsafe.Pointer) int32

// Starts a child: the program that descriptor `fd` is open for reading to, in the virtual kernel of this process, or
// in the one of the same name and user on another node.  It has this process' user, and no more memory, directories
// and places to connect to than this process has; of the directories those that the other node allows, too.  Of this
// process' descriptors it has those that `fds` names, but for directories: standard streams, pipes, connections,
// devices, and files, at a position that both move; on another node as its standard streams only.  Where it has none
// as a standard stream, its input is empty, and `vkctl logs` shows what it writes.  `Wait` tells its end; whoever
// ends first leaves its children to init, which waits for all.
//
//go:wasmimport odonata spawn
//go:noescape
func Spawn(fd uint32, args unsafe.Pointer, argsLen uint32, env unsafe.Pointer, envLen uint32, fds unsafe.Pointer, fdsLen uint32, node unsafe.Pointer, nodeLen uint32, flags int32, group uint64, out unsafe.Pointer) int32

// Waits for the end of a child, wherever it runs, and forgets it then; with WAIT_STOPPED and WAIT_CONTINUED for its
// stops, too.  `pid`: -1 any, 0 any of this process' group, below -1 any of that group.  A node that is lost ends its
// processes with signal 9.
//
//go:wasmimport odonata wait
//go:noescape
func Wait(pid int64, flags int32, out unsafe.Pointer) int32

// Sends a signal to a process of the same user and virtual kernel, on whatever node; `pid` 0: to this process' group,
// below -1 to that group.  `signal` 0 only looks whether it is there.
//
//go:wasmimport odonata kill
//go:noescape
func Kill(pid int64, signal int32) int32

// Who a process of the same user and virtual kernel is to others.
//
//go:wasmimport odonata identify
//go:noescape
func Identify(pid uint64, out unsafe.Pointer) int32

// Puts this process, or a child of it, into a process group.
//
//go:wasmimport odonata set_group
//go:noescape
func SetGroup(pid uint64, group uint64) int32

// How the terminal of this session is. A standard stream is one where `fd_fdstat_get` calls it a character device, on
// whatever node its process runs.
//
//go:wasmimport odonata terminal_get
//go:noescape
func TerminalGet(fd uint32, out unsafe.Pointer) int32

// Changes how the terminal treats what is typed and written, from now on.
//
//go:wasmimport odonata terminal_set
//go:noescape
func TerminalSet(fd uint32, flags int32, input uint32, output uint32, local uint32, characters unsafe.Pointer, charactersLen uint32) int32

// Says how large the terminal is: its foreground gets SIGWINCH where that is news.
//
//go:wasmimport odonata terminal_resize
//go:noescape
func TerminalResize(fd uint32, rows uint32, columns uint32) int32

// Says which process group is in the foreground: it gets the signals of keys, and it alone may read.
//
//go:wasmimport odonata terminal_foreground
//go:noescape
func TerminalForeground(fd uint32, group uint64) int32

// A pipe, for children of this process: what is written to one end is read from the other, in order.  It holds some
// 200 KiB; a write waits for room, a read for bytes; a read after the last writer closed or died is empty, a write
// after the last reader did is EPIPE.
//
//go:wasmimport odonata pipe
//go:noescape
func Pipe(out unsafe.Pointer) int32

// A descriptor once more, at the same position.
//
//go:wasmimport odonata dup
//go:noescape
func Dup(fd uint32, to uint32, out unsafe.Pointer) int32

// What a signal comes to.  With HANDLER the program's exported function `odonata_signal`, or that of SignalFunction,
// is called with its number: at the return from a call, or in the middle of what the first thread computes.  A call
// that waits ends with EINTR first: reads of standard input, polls and sleeps, Wait, Wait32.
//
//go:wasmimport odonata signal_action
//go:noescape
func SignalAction(signal int32, action int32) int32

// Which function HANDLER calls from now on, instead of the exported `odonata_signal`: its number in the program's
// table, which is what its address is in C.  It takes the number of a signal, and returns nothing.  A linker of
// commands may wrap each function that is exported (wasm-ld does, where the C library begins by what is exported, as
// that of Debian 12): a wrapper runs constructors and what atexit() has at each call.
//
//go:wasmimport odonata signal_function
//go:noescape
func SignalFunction(index uint32) int32

// Where this program leaves its stack while it is parked; once, before it waits.  A program that has this call is one
// that Asyncify went through.
//
//go:wasmimport odonata park_area
//go:noescape
func ParkArea(addr unsafe.Pointer, len uint32) int32

// Makes a session and a process group of this process alone.
//
//go:wasmimport odonata set_session
//go:noescape
func SetSession() int32

// Here a snapshot of this program may be taken, by `vkctl snapshot`: returns 0 at once where nobody asked for one, 1
// where one was taken.  A program of which there can be one exports `odonata_resume`, a function of nothing: what is
// started from the snapshot begins there, with the memory and the globals as they are here, and ends where it
// returns.
//
//go:wasmimport odonata snapshot
//go:noescape
func Snapshot() int32

// The node that this process runs on.
//
//go:wasmimport odonata node_id
//go:noescape
func NodeID() int32

// The virtual kernel, numbered within its node.
//
//go:wasmimport odonata vkernel_id
//go:noescape
func VkernelID() int32

// This process's cluster-wide pid.
//
//go:wasmimport odonata process_id
//go:noescape
func ProcessID() int64

// Kept for ever: what is mapped there must not be given to anybody else.
var reserved [][]byte

// Reserve gives page-aligned memory that nothing else uses, for mappings.
func Reserve(bytes int) unsafe.Pointer {
	memory := make([]byte, bytes+Page)
	reserved = append(reserved, memory)
	start := uintptr(unsafe.Pointer(&memory[0]))
	return unsafe.Pointer(&memory[(Page-start%Page)%Page])
}

// Open opens or creates the dataspace of that name; size 0 takes one that exists as it is. The second result is an errno of WASI.
func Open(name string, size uint64, flags int32) (Dataspace, int32) {
	var opened Dataspace
	errno := DsOpen(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), size, flags, unsafe.Pointer(&opened))
	return opened, errno
}

// MapWhole maps all of it; the second result is an errno of WASI.
func (ds Dataspace) MapWhole(protection int32) ([]byte, int32) {
	bytes := (int(ds.SizeBytes) + Page - 1) / Page * Page
	at := Reserve(bytes)
	if errno := DsMap(ds.ID, at, uint32(bytes), 0, protection); errno != OK {
		return nil, errno
	}
	return unsafe.Slice((*byte)(at), bytes), OK
}

// ConnectTo connects to HOST:PORT; a descriptor, and an errno of WASI. net.FileConn(os.NewFile(uintptr(fd), address)) makes a net.Conn
// of it, once syscall.SetNonblock(fd, true) has been called.
func ConnectTo(address string) (int, int32) {
	var fd uint32
	errno := Connect(unsafe.Pointer(unsafe.StringData(address)), uint32(len(address)), unsafe.Pointer(&fd))
	return int(fd), errno
}

// ListenOn listens by a name; a descriptor, and an errno of WASI. net.FileListener(os.NewFile(uintptr(fd), name)) makes a net.Listener
// of it, once syscall.SetNonblock(fd, true) has been called.
func ListenOn(name string, backlog uint32, flags int32) (int, int32) {
	var fd uint32
	at := unsafe.Pointer(unsafe.StringData(name))
	errno := Listen(at, uint32(len(name)), backlog, flags, unsafe.Pointer(&fd))
	return int(fd), errno
}

// ConnectToName connects to whoever listens by a name, within so many milliseconds; as ConnectTo.
func ConnectToName(name string, timeoutMs uint32) (int, int32) {
	var fd uint32
	errno := ConnectName(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), timeoutMs, unsafe.Pointer(&fd))
	return int(fd), errno
}
