// The import module `odonata`: what a guest asks of its virtual kernel beyond WASI preview 1. Described here once; the C
// header, the AssemblyScript binding and the reference page are made from this by `npm run generate`, and the virtual
// kernel's implementation is held to it by its type.

import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { ModuleDescription } from './description.ts';

export const odonata = {
  name: 'odonata',
  pageBytes: {
    value: PAGE_BYTES,
    doc: 'Bytes in a page: the unit of mapping, of coherency and of transfer.',
  },
  model:
    "A *dataspace* is named memory that any process of the cluster may map, on whatever node it runs.  A mapping puts a range of a dataspace under a range of this program's own linear memory: from then on plain loads, stores and atomics reach the shared bytes, and a page that is not here is brought in by a fault.  Memory is sequentially consistent per page; a program that orders its accesses with atomics, range locks or wait/wake sees sequential consistency overall.",
  rules: [
    'Addresses, lengths and offsets of mappings are multiples of {PAGE}.  The last page of a dataspace is mapped whole, even where its size ends within the page; the bytes beyond the size are zero.',
    "Map over memory that nothing else uses: take it from {reserve}, never from the middle of a malloc'd block that the allocator keeps its own headers in.",
    'Every function returns 0 or a WASI errno (the values of <errno.h> in wasi-libc, so strerror() names them).',
    'A store to a read-only mapping ends the process (SIGSEGV); so does an access to a page whose only copy died with its node (SIGBUS).',
  ],
  errors: {
    doc: 'Results that a program is likely to tell apart; any other WASI errno may come too.',
    values: {
      OK: { value: 0 },
      EACCES: { value: 2, doc: 'the dataspace belongs to somebody who does not allow it' },
      EAGAIN: { value: 6, doc: 'wait32: the word does not hold the expected value' },
      ECONNREFUSED: { value: 14, doc: 'connect: nobody listens there' },
      ECONNABORTED: { value: 13, doc: 'connect, listen: vkerneld started anew' },
      ECONNRESET: { value: 15, doc: 'of a connection: the other side was killed, or the way to it is gone' },
      EBADF: { value: 8, doc: 'no such dataspace id, or descriptor, in this process' },
      ECHILD: { value: 12, doc: 'wait: there is no such child' },
      EDEADLK: { value: 16, doc: 'lock: waiting would never end' },
      EDQUOT: { value: 19, doc: 'ds_open: its user owns as many dataspaces as they may' },
      EEXIST: { value: 20, doc: 'ds_open: it exists, and EXCLUSIVE was asked' },
      EINTR: { value: 27, doc: 'a signal came, and its handler ran' },
      EFAULT: { value: 21, doc: 'a pointer outside linear memory' },
      EINVAL: { value: 28, doc: 'unaligned, empty or out of range; ds_open: it exists with another size' },
      ENOENT: { value: 44, doc: 'ds_open: no dataspace of that name, and CREATE was not asked' },
      ENOMEM: { value: 48, doc: 'over a quota' },
      EOWNERDEAD: { value: 62, doc: 'barrier: a member died' },
      EPERM: { value: 63, doc: 'kill: -1, which would be everything' },
      ESRCH: { value: 71, doc: 'kill: there is no such process' },
      ENOSYS: {
        value: 52,
        doc: 'of a dataspace of another cluster: sync is not there',
      },
      ENOSPC: { value: 51, doc: 'sync: the backing store, or its disk, is full' },
      ETIMEDOUT: { value: 73, doc: 'lock, barrier, wait32: the time is over' },
    },
  },
  constants: {
    open: {
      doc: 'Flags of {ds_open}.',
      name: 'Open',
      prefix: 'OPEN_',
      values: {
        CREATE: { value: 1, doc: 'make it where it is missing' },
        EXCLUSIVE: { value: 2, doc: 'with CREATE: fail with EEXIST where it is there' },
        DURABLE: {
          value: 4,
          doc: 'with CREATE: with a backing store, see {sync}; EINVAL where it is there without',
        },
      },
    },
    protection: {
      doc: 'Protections of {ds_map}.',
      name: 'Protection',
      prefix: '',
      values: { READ: { value: 1 }, READ_WRITE: { value: 3 } },
    },
    spawn: {
      doc: 'Flags of {spawn}.',
      name: 'Spawn',
      prefix: 'SPAWN_',
      values: {
        NEW_GROUP: { value: 1, doc: 'the child leads a process group of its own' },
        SPREAD: { value: 2, doc: 'no node is named: the node where the fewest processes run for its cores' },
        SELF: { value: 4, doc: 'the program of the parent; `fd` is not looked at' },
        NEAR: { value: 8, doc: '`node` names a dataspace: the node that has the most of its pages' },
        APART: {
          value: 16,
          doc: 'no node is named: one where neither the parent nor another child of it runs; also with `NEAR`',
        },
      },
    },
    signalAction: {
      doc: 'Actions of {signal_action}.',
      name: 'SignalAction',
      prefix: 'SIGNAL_',
      values: {
        DEFAULT: { value: 0, doc: 'the end of the process; nothing, or a stop, for some' },
        IGNORE: { value: 1, doc: 'nothing' },
        HANDLER: {
          value: 2,
          doc: 'the function of {signal_function}, or the exported `odonata_signal(i32)`',
        },
      },
    },
    wait: {
      doc: 'Flags of {wait}.',
      name: 'Wait',
      prefix: 'WAIT_',
      values: {
        NO_HANG: { value: 1, doc: 'only look: `pid` is 0 where none has ended' },
        STOPPED: { value: 2, doc: 'also a child that a signal stopped, once: `code` is CHILD_STOPPED' },
        CONTINUED: { value: 8, doc: 'also one that goes on, once: `code` is CHILD_CONTINUED' },
      },
    },
    terminal: {
      doc: 'Flags of {terminal_set}.',
      name: 'TerminalChange',
      prefix: 'TERMINAL_',
      values: { FLUSH: { value: 1, doc: 'what was typed and not read is gone' } },
    },
    child: {
      doc: 'Codes of a child that did not end: see {wait}.',
      name: 'ChildCode',
      prefix: 'CHILD_',
      values: {
        STOPPED: { value: 0x10000, doc: 'it was stopped, by `signal`' },
        CONTINUED: { value: 0x20000, doc: 'it goes on' },
      },
    },
    listen: {
      doc: 'Flags of {listen}.',
      name: 'Listen',
      prefix: 'LISTEN_',
      values: {
        EVERYONE: {
          value: 1,
          doc: 'for programs of all people, where theirs may use the name; else of its own user',
        },
      },
    },
    lockMode: {
      doc: 'Modes of {lock}.',
      name: 'LockMode',
      prefix: 'LOCK_',
      values: {
        SHARED: { value: 1, doc: 'with other SHARED holders' },
        EXCLUSIVE: { value: 2, doc: 'alone' },
        MODIFYING: { value: 3, doc: 'alone, with the intent to write' },
      },
    },
  },
  structures: {
    dataspace: {
      doc: 'An opened dataspace.',
      fields: [
        { name: 'id', type: 'u64', doc: 'names it in the other calls of this process' },
        { name: 'size_bytes', type: 'u64', doc: 'as it was created' },
      ],
    },
    stat: {
      doc: 'What {ds_stat} tells.',
      fields: [
        { name: 'size_bytes', type: 'u64', doc: 'as it was created' },
        { name: 'pages', type: 'u64', doc: 'that this size takes, the last one whole' },
      ],
    },
    child: {
      doc: 'What {spawn} and {wait} tell.',
      fields: [
        { name: 'pid', type: 'u64', doc: 'of the child; 0: none has ended' },
        {
          name: 'code',
          type: 'u64',
          doc: 'its exit code, or 128 and the number of the signal; of one that did not end, of CHILD_',
        },
        { name: 'signal', type: 'u64', doc: 'that ended or stopped it, as WASI numbers it; 0: none did' },
      ],
    },
    ends: {
      doc: 'What {pipe} makes.',
      fields: [
        { name: 'read', type: 'u64', doc: 'the descriptor to read from' },
        { name: 'write', type: 'u64', doc: 'the descriptor to write to' },
      ],
    },
    terminal: {
      doc: 'What {terminal_get} tells: flags and control characters as Linux has them in termios.',
      fields: [
        { name: 'input', type: 'u64', doc: 'c_iflag' },
        { name: 'output', type: 'u64', doc: 'c_oflag' },
        { name: 'local', type: 'u64', doc: 'c_lflag' },
        { name: 'characters0', type: 'u64', doc: 'c_cc, a byte each, the first one lowest' },
        { name: 'characters8', type: 'u64', doc: 'c_cc from 8 on' },
        { name: 'characters16', type: 'u64', doc: 'c_cc from 16 on' },
        { name: 'rows', type: 'u64', doc: 'lines' },
        { name: 'columns', type: 'u64', doc: 'characters of a line' },
        { name: 'foreground', type: 'u64', doc: 'the group of the foreground' },
        { name: 'session', type: 'u64', doc: 'its session' },
      ],
    },
    relatives: {
      doc: 'What {identify} tells.',
      fields: [
        { name: 'pid', type: 'u64', doc: 'the process' },
        { name: 'parent', type: 'u64', doc: '0: it was started from outside; 1: its parent is over' },
        { name: 'group', type: 'u64', doc: 'its process group' },
        { name: 'session', type: 'u64', doc: 'its session' },
      ],
    },
  },
  functions: {
    ds_open: {
      doc: 'Opens or creates the dataspace `name` (UTF-8, not terminated).  `size` in bytes counts when it is created; for one that exists it must be the same (else EINVAL), or 0 for "whatever it is".  A new dataspace reads as zeros, and is its user\'s alone (docs/ownership.md).',
      parameters: [
        { name: 'name', type: 'bytes', doc: 'where the name begins' },
        { name: 'name_len', type: 'u32', doc: 'bytes of the name, 1 to 255' },
        { name: 'size', type: 'u64', doc: 'bytes, or 0' },
        { name: 'flags', type: 'i32', doc: 'of OPEN_' },
        { name: 'out', type: 'out dataspace', doc: 'what was opened' },
      ],
      result: 'errno',
      errors: {
        EACCES: 'it belongs to somebody who does not let the user of this process read it',
        EDQUOT:
          'CREATE was asked, and the user of this process owns as many as they may, or the cluster has as many',
        EEXIST: 'it exists, and EXCLUSIVE was asked',
        EFAULT: '`name` or `out` leaves the memory, or `out` is only read there',
        EFBIG: '`size` is 2^63 or more',
        EILSEQ: '`name` is not UTF-8',
        EINVAL:
          'it exists with another size, or without a backing store where DURABLE was asked; `name` is empty or no name of a dataspace, a flag is unknown, or CREATE was asked without a size',
        EIO: 'the pmap manager of the node, or the directory, is away',
        EMFILE: 'this process has 4096 dataspaces open',
        ENAMETOOLONG: '`name` is longer than 255 bytes',
        ENFILE: 'the pmap manager of the node has no descriptor left',
        ENOENT: 'there is none of that name, and CREATE was not asked',
        ENOMEM: 'over a quota',
      },
    },
    ds_map: {
      doc: 'Maps [offset, offset + len) of dataspace `id` over [addr, addr + len) of linear memory; what was there is lost.',
      parameters: [
        { name: 'id', type: 'u64', doc: 'of {ds_open}' },
        { name: 'addr', type: 'address', doc: 'a multiple of {PAGE}' },
        { name: 'len', type: 'u32', doc: 'a multiple of {PAGE}, above 0' },
        { name: 'offset', type: 'u64', doc: 'in the dataspace, a multiple of {PAGE}' },
        { name: 'prot', type: 'i32', doc: 'READ or READ_WRITE' },
      ],
      result: 'errno',
      errors: {
        EACCES: 'READ_WRITE, and its owner lets the user of this process only read it',
        EBADF: 'this process did not open `id`',
        EINVAL: 'unaligned, empty, past the end of the memory or of the dataspace, or no protection',
        EIO: 'the pmap manager of the node is away',
        ENOMEM: 'over a quota',
      },
    },
    ds_unmap: {
      doc: 'Ends mappings in [addr, addr + len); the range becomes fresh private zero memory.',
      parameters: [
        { name: 'addr', type: 'address', doc: 'a multiple of {PAGE}' },
        { name: 'len', type: 'u32', doc: 'a multiple of {PAGE}, above 0' },
      ],
      result: 'errno',
      errors: {
        EINVAL: 'unaligned, empty, past the end of the memory, or nothing is mapped there',
        EIO: 'the pmap manager of the node is away',
      },
    },
    ds_stat: {
      doc: 'Size of an opened dataspace.',
      parameters: [
        { name: 'id', type: 'u64', doc: 'of {ds_open}' },
        { name: 'out', type: 'out stat', doc: 'its size' },
      ],
      result: 'errno',
      errors: {
        EBADF: 'this process did not open `id`',
        EFAULT: '`out` leaves the memory, or is only read there',
      },
    },
    lock: {
      doc: 'Locks the bytes [begin, end_inclusive] of a dataspace, cluster-wide and fair.  Offsets have a sign: the range need not be mapped, nor lie within the size, nor be aligned; negative offsets are metadata space, names for what programs agree on.  `timeout_ms`: below 0 waits for ever, 0 only tries.\n\nA process holds each byte in no mode or in one.  A lock gives every byte of its range its mode, whatever the process held there: so a part of what is held can be upgraded or downgraded, and nothing is counted.  While it waits for an upgrade the process keeps what it has.  EDEADLK: processes would wait for each other in a circle; unlock something that others want, and begin again.  Held locks end with the process.\n\nThe pages under a range of at most 64 pages are asked for together with the lock, where they are mapped: for writing under EXCLUSIVE and MODIFYING, for reading under SHARED.  The lock does not wait for them: who touches one at once waits for what is left of its way, and for no other of them again.',
      parameters: [
        { name: 'id', type: 'u64', doc: 'of {ds_open}' },
        { name: 'begin', type: 'i64', doc: 'the first byte' },
        { name: 'end_inclusive', type: 'i64', doc: 'the last byte' },
        { name: 'mode', type: 'i32', doc: 'of LOCK_' },
        {
          name: 'timeout_ms',
          type: 'i64',
          doc: 'whatever is below 0 waits for ever, 0 only tries; no number is too large',
        },
      ],
      result: 'errno',
      errors: {
        EACCES:
          'EXCLUSIVE or MODIFYING, and the user of this process may only read it; any lock of a dataspace that another cluster lends to read',
        EBADF: 'this process did not open `id`',
        EDEADLK: 'waiting would never end',
        EINVAL: '`begin` is past `end_inclusive`, or no mode',
        EIO: 'the pmap manager of the node, or the directory, is away',
        ENOENT: 'the dataspace is of another cluster, and not here any more',
        ENOMEM: 'too many locks, or too many that wait',
        ETIMEDOUT: 'the time is over',
      },
    },
    unlock: {
      doc: 'Releases whatever this process holds of [begin, end_inclusive], also part of a range that it locked as a whole.',
      parameters: [
        { name: 'id', type: 'u64', doc: 'of {ds_open}' },
        { name: 'begin', type: 'i64', doc: 'the first byte' },
        { name: 'end_inclusive', type: 'i64', doc: 'the last byte' },
      ],
      result: 'errno',
      errors: {
        EBADF: 'this process did not open `id`',
        EINVAL: '`begin` is past `end_inclusive`',
        EIO: 'the pmap manager of the node, or the directory, is away',
        ENOMEM: 'too many locks: a part of a range leaves two',
      },
    },
    barrier: {
      doc: 'Waits until `count` processes have come to this generation of the barrier `name`, a number that the program chooses within the dataspace.  A process comes to generation 0 first and to the next one after each that it passed; so it counts its own calls.  Nobody passes before all `count` have come, whatever happens to the directory meanwhile: what was said is said again to the next leader, by this number.\n\nOne message there and back a process, at the directory: no page moves, and nobody wakes but to go on.\n\nEOWNERDEAD: a member died (it was killed, ended without coming, or its node is gone), so this generation will never be complete; all others hear of it, those that wait and those that come later.  A program that begins anew takes another name.  After ETIMEDOUT the process has not come, and may come again.  Who never came once is not known, nor who died in generation 0 when its node and the leader of the directory went at once: a `timeout_ms` for generation 0 finds both.  Of the threads of a process one comes for all.',
      parameters: [
        { name: 'id', type: 'u64', doc: 'of {ds_open}' },
        { name: 'name', type: 'i64', doc: 'names the barrier within the dataspace; any number' },
        { name: 'count', type: 'u32', doc: 'how many processes come, 1 to 1024' },
        {
          name: 'generation',
          type: 'u64',
          doc: 'how many generations of this barrier the process has passed',
        },
        {
          name: 'timeout_ms',
          type: 'i64',
          doc: 'whatever is below 0 waits for ever, 0 only tries; no number is too large',
        },
      ],
      result: 'errno',
      errors: {
        EACCES: 'the user of this process may only read it',
        EBADF: 'this process did not open `id`',
        EINVAL:
          'another `count` or `generation` than the others and this process are at, or more than `count` come',
        EIO: 'the pmap manager of the node, or the directory, is away',
        ENOMEM: 'too many barriers, of this process (1024) or in all',
        EOWNERDEAD: 'a member of the barrier died',
        ETIMEDOUT: 'the time is over',
      },
    },
    sync: {
      doc: 'Stores the bytes [offset, offset + len) of a durable dataspace, in whole pages, with what they hold when the call begins or later; `len` 0 means all from `offset` on.  0 when the backing store has acknowledged all of it: from then on these bytes, or later ones, survive the death of any node.  EIO: it may be stored in part (the store does not answer, or a page cannot be read); ENOSPC: the store or its disk is full, and nothing that was stored is lost; the same call succeeds when there is room again; EBUSY: the dataspace is not durable.',
      parameters: [
        { name: 'id', type: 'u64', doc: 'of {ds_open}' },
        { name: 'offset', type: 'u64', doc: 'the first byte' },
        { name: 'len', type: 'u64', doc: 'bytes; 0 means all from `offset` on' },
      ],
      result: 'errno',
      errors: {
        EACCES: 'the user of this process may only read it',
        EBADF: 'this process did not open `id`',
        EBUSY: 'it is not durable',
        EINVAL: 'past the end of the dataspace',
        EIO: 'it may be stored in part: the store does not answer, or a page cannot be read',
        ENOSPC: 'the store or its disk is full; nothing that was stored is lost',
        ENOSYS: 'the dataspace is of another cluster, which stores it: sync it there',
      },
    },
    ds_remove: {
      doc: 'Removes the dataspace `name` and what it holds.  Whoever has it mapped keeps it from that, on whatever node: EBUSY.  The name is free then, and who opened it without mapping it has an `id` of nothing.',
      parameters: [
        { name: 'name', type: 'bytes', doc: 'where the name begins' },
        { name: 'name_len', type: 'u32', doc: 'bytes of the name, 1 to 255' },
      ],
      result: 'errno',
      errors: {
        EACCES: 'it belongs to somebody else',
        EBUSY: 'it is mapped',
        EFAULT: '`name` leaves the memory',
        EILSEQ: '`name` is not UTF-8',
        EINVAL: '`name` is empty or no name of a dataspace',
        EIO: 'the pmap manager of the node, or the directory, is away',
        ENAMETOOLONG: '`name` is longer than 255 bytes',
        ENOENT: 'there is none of that name',
      },
    },
    connect: {
      doc: 'Connects to a server by TCP, where the program may: `vkctl run --connect` says where.  The descriptor reads, writes, polls and closes as any; `sock_recv`, `sock_send` and `sock_shutdown` work on it.  The virtual kernel has no network: its supervisor connects, resolves the name, and gives up after ten seconds.',
      parameters: [
        { name: 'address', type: 'bytes', doc: 'where the text HOST:PORT begins, or [ADDRESS]:PORT' },
        { name: 'address_len', type: 'u32', doc: 'bytes of it, 1 to 264' },
        { name: 'fd', type: 'out u32', doc: 'the descriptor' },
      ],
      result: 'errno',
      errors: {
        EACCES: 'this program may not connect to there',
        EAGAIN: 'the name cannot be resolved right now, or too many connect; try again',
        ECONNABORTED: 'vkerneld started anew meanwhile; try again',
        ECONNREFUSED: 'nobody listens there',
        EFAULT: '`address` or `fd` leaves the memory',
        EHOSTUNREACH: 'no such host, or no way there',
        EINVAL: '`address` is no HOST:PORT',
        EMFILE: 'the process has as many descriptors as it may',
        ENAMETOOLONG: '`address` is longer than 264 bytes',
        ENETUNREACH: 'no way there',
        ENFILE: 'its virtual kernel has no descriptor left for it',
        ETIMEDOUT: 'there was no answer',
      },
    },
    listen: {
      doc: 'Listens by a name: programs on any node connect to it by {connect_name}.  Several may listen by one name, on one node or many: a connection goes to one that has the fewest open.  The descriptor is ready for reading when a connection waits; `sock_accept` takes it.  The name ends with the descriptor, or with the process.  After a new start of vkerneld the next `sock_accept` listens again, by the same descriptor; of one that a child has of its parent it is ECONNABORTED.',
      parameters: [
        {
          name: 'name',
          type: 'bytes',
          doc: 'where the text begins: NAME of its user, PERSON:NAME, or :NAME of the cluster',
        },
        { name: 'name_len', type: 'u32', doc: 'bytes of it, 1 to 97' },
        { name: 'backlog', type: 'u32', doc: 'connections that may wait to be taken, 1 to 128' },
        { name: 'flags', type: 'i32', doc: 'of LISTEN_' },
        { name: 'fd', type: 'out u32', doc: 'the descriptor' },
      ],
      result: 'errno',
      errors: {
        EACCES: 'its virtual kernel may not listen by that name',
        EAGAIN: 'too many listen, or there is no router now; try again',
        ECONNABORTED: 'vkerneld started anew meanwhile; try again',
        EFAULT: '`name` or `fd` leaves the memory',
        EILSEQ: '`name` is not UTF-8',
        EINVAL: '`name` is no name, `backlog` is out of range, or a flag is unknown',
        EMFILE: 'the process has as many descriptors as it may',
        ENAMETOOLONG: '`name` is longer than 97 bytes',
        ENFILE: 'its virtual kernel has no descriptor left for it',
      },
    },
    connect_name: {
      doc: 'Connects to a program that listens by a name, on whatever node: of several to one that has the fewest connections open.  The descriptor is an ordered stream of bytes both ways: it reads, writes, polls and closes as any; `sock_recv`, `sock_send` and `sock_shutdown` work on it.  A read is 0 bytes after the other side shut it down for writing, closed it or exited; where the other side was killed, or what was between them is gone, it is ECONNRESET.  Whoever does not read stalls who writes, and nobody else.',
      parameters: [
        {
          name: 'name',
          type: 'bytes',
          doc: 'where the text begins: NAME of its user, PERSON:NAME, or :NAME of the cluster',
        },
        { name: 'name_len', type: 'u32', doc: 'bytes of it, 1 to 97' },
        { name: 'timeout_ms', type: 'u32', doc: 'how long it waits, at most 25,000; 0: 10,000' },
        { name: 'fd', type: 'out u32', doc: 'the descriptor' },
      ],
      result: 'errno',
      errors: {
        EACCES: 'its virtual kernel may not connect to that name',
        EAGAIN: 'as many as may wait there do already, or too many connections are open here; try again',
        ECONNABORTED: 'vkerneld started anew meanwhile; try again',
        ECONNREFUSED: 'nobody listens by that name for its user',
        EFAULT: '`name` or `fd` leaves the memory',
        EHOSTUNREACH: 'there is no way there now',
        EILSEQ: '`name` is not UTF-8',
        EINVAL: '`name` is no name, or `timeout_ms` is too long',
        EMFILE: 'the process has as many descriptors as it may',
        ENAMETOOLONG: '`name` is longer than 97 bytes',
        ENFILE: 'its virtual kernel has no descriptor left for it',
        ETIMEDOUT: 'there was no answer',
      },
    },
    name_range: {
      doc: 'Names the bytes [offset, offset + len) of a dataspace for people: `vkctl ds hot` says which ranges nodes fight over, and by this name.  It changes nothing else.  The same range may be named anew; an empty name takes the name away.  Names are kept by the node that the process runs on.',
      parameters: [
        { name: 'id', type: 'u64', doc: 'of {ds_open}' },
        { name: 'offset', type: 'u64', doc: 'the first byte' },
        { name: 'len', type: 'u64', doc: 'bytes, at least 1' },
        { name: 'name', type: 'bytes', doc: 'where the name begins' },
        { name: 'name_len', type: 'u32', doc: 'bytes of the name, 0 to 64' },
      ],
      result: 'errno',
      errors: {
        EACCES: 'the user of this process may only read it',
        EBADF: 'this process did not open `id`',
        EFAULT: '`name` leaves the memory',
        EILSEQ: '`name` is not UTF-8',
        EINVAL: 'past the end of the dataspace, no byte, or a control character in `name`',
        EIO: 'the pmap manager of the node is away',
        ENAMETOOLONG: '`name` is longer than 64 bytes',
        ENOMEM: 'the dataspace has 1024 named ranges already',
      },
    },
    wait32: {
      doc: 'Sleeps until {wake} on the same word of the same dataspace, from whichever mapping and node, if the word still holds `expected` (else EAGAIN at once).  `timeout_ns` below 0 waits for ever.  Check the word again after 0.\n\nWhat it costs: where the word does not hold `expected`, an atomic load (below a microsecond, if its page is here); else one round trip to the directory before it sleeps, and one message that ends the sleep.  So spin a little first where the other side is quick.',
      parameters: [
        { name: 'addr', type: 'word', doc: 'a multiple of 4 in a mapped dataspace' },
        { name: 'expected', type: 'u32', doc: 'what the word must hold' },
        { name: 'timeout_ns', type: 'i64', doc: 'below 0 waits for ever' },
      ],
      result: 'errno',
      errors: {
        EAGAIN: 'the word does not hold `expected`',
        EFAULT: '`addr` leaves the memory',
        EINVAL: '`addr` is unaligned, or no dataspace is mapped there',
        EIO: 'the pmap manager of the node, or the directory, is away',
        ENOMEM: 'too many wait',
        ETIMEDOUT: 'the time is over',
      },
    },
    wake: {
      doc: 'Wakes at most `count` sleepers on the word (UINT32_MAX: all); `*woken` gets how many.\n\nWhat it costs: one round trip to the directory, some 0.3 to 1.5 ms, each time: it leaves the node, also where nobody sleeps, or the sleeper runs beside the caller.  So keep a count of sleepers in the dataspace, and call it only where there are any; one call with a `count` wakes many.',
      parameters: [
        { name: 'addr', type: 'word', doc: 'a multiple of 4 in a mapped dataspace' },
        { name: 'count', type: 'u32', doc: 'at most so many' },
        { name: 'woken', type: 'out u32', doc: 'how many' },
      ],
      result: 'errno',
      errors: {
        EACCES: 'the user of this process may only read the dataspace',
        EFAULT: '`addr` or `woken` leaves the memory, or `woken` is only read there',
        EINVAL: '`addr` is unaligned, or no dataspace is mapped there',
        EIO: 'the pmap manager of the node, or the directory, is away',
      },
    },
    spawn: {
      doc: "Starts a child: the program that descriptor `fd` is open for reading to, in the virtual kernel of this process, or in the one of the same name and user on another node.  It has this process' user, and no more memory, directories and places to connect to than this process has; of the directories those that the other node allows, too.  Of this process' descriptors it has those that `fds` names, but for directories: standard streams, pipes, connections, devices, and files, at a position that both move; on another node as its standard streams only.  Where it has none as a standard stream, its input is empty, and `vkctl logs` shows what it writes.  `{wait}` tells its end; whoever ends first leaves its children to init, which waits for all.",
      parameters: [
        { name: 'fd', type: 'u32', doc: 'the program, a file' },
        {
          name: 'args',
          type: 'bytes',
          doc: 'its arguments, each with a NUL after it; the first is its name',
        },
        { name: 'args_len', type: 'u32', doc: 'bytes of them' },
        { name: 'env', type: 'bytes', doc: 'its environment, NAME=VALUE, each with a NUL after it' },
        { name: 'env_len', type: 'u32', doc: 'bytes of it' },
        {
          name: 'fds',
          type: 'bytes',
          doc: 'its descriptors: pairs of 32-bit numbers, one of this process and what it is there',
        },
        { name: 'fds_len', type: 'u32', doc: 'bytes of them; 0: it has none but its standard streams' },
        { name: 'node', type: 'bytes', doc: 'the node by name; with `SPAWN_NEAR` the dataspace' },
        { name: 'node_len', type: 'u32', doc: 'bytes of it; 0: the node of this process' },
        { name: 'flags', type: 'i32', doc: 'of SPAWN_' },
        { name: 'group', type: 'u64', doc: 'its process group; 0: that of this process' },
        { name: 'out', type: 'out child', doc: 'its pid' },
      ],
      result: 'errno',
      errors: {
        EACCES: '`fd` is not open for reading, or the dataspace may not be read',
        EAGAIN: 'its virtual kernel runs 256 processes, or this process has 1024 children',
        EBADF: '`fd` is not open, or no file',
        EFAULT: 'a pointer leaves the memory',
        EFBIG: 'the program has more than 256 MiB',
        EHOSTUNREACH: 'there is no such node now',
        ENOENT: 'there is no such dataspace',
        EINVAL: 'no arguments, a NUL is missing, a flag is unknown, or what is no NAME=VALUE',
        EIO: 'nobody knows whether it began: it is ended then',
        EXDEV:
          '`fds` has something as another descriptor than 0 to 2, by another number than here, or a pipe or device of the host, and the child is to run on another node',
        ENOTSUP:
          '`fds` gives a directory another number, or the program of this process is not kept, since it was started before `spawn` was asked for',
      },
    },
    wait: {
      doc: "Waits for the end of a child, wherever it runs, and forgets it then; with WAIT_STOPPED and WAIT_CONTINUED for its stops, too.  `pid`: -1 any, 0 any of this process' group, below -1 any of that group.  A node that is lost ends its processes with signal 9.",
      parameters: [
        { name: 'pid', type: 'i64', doc: 'which' },
        { name: 'flags', type: 'i32', doc: 'of WAIT_' },
        { name: 'out', type: 'out child', doc: 'which one, and how it ended' },
      ],
      result: 'errno',
      errors: {
        ECHILD: 'there is no such child',
        EFAULT: '`out` leaves the memory',
        EINTR: 'a signal came, and its handler ran',
        EINVAL: 'a flag is unknown',
      },
    },
    kill: {
      doc: "Sends a signal to a process of the same user and virtual kernel, on whatever node; `pid` 0: to this process' group, below -1 to that group.  `signal` 0 only looks whether it is there.",
      parameters: [
        { name: 'pid', type: 'i64', doc: 'which' },
        { name: 'signal', type: 'i32', doc: 'as WASI numbers it' },
      ],
      result: 'errno',
      errors: {
        EINVAL: 'no such signal',
        EPERM: 'it is of somebody else, or of a virtual kernel of another name',
        ESRCH: 'there is no such process',
        ETIMEDOUT: 'its node does not answer',
      },
    },
    identify: {
      doc: 'Who a process of the same user and virtual kernel is to others.',
      parameters: [
        { name: 'pid', type: 'u64', doc: 'which; 0: this one' },
        { name: 'out', type: 'out relatives', doc: 'its parent, group and session' },
      ],
      result: 'errno',
      errors: {
        EFAULT: '`out` leaves the memory',
        EPERM: 'it is of somebody else, or of a virtual kernel of another name',
        ESRCH: 'there is no such process',
      },
    },
    set_group: {
      doc: 'Puts this process, or a child of it, into a process group.',
      parameters: [
        { name: 'pid', type: 'u64', doc: 'which; 0: this one' },
        { name: 'group', type: 'u64', doc: 'the group; 0: one of its own' },
      ],
      result: 'errno',
      errors: {
        EPERM: 'it leads a session',
        ESRCH: 'it is neither this process nor a child of it',
      },
    },
    terminal_get: {
      doc: 'How the terminal of this session is. A standard stream is one where `fd_fdstat_get` calls it a character device, on whatever node its process runs.',
      parameters: [
        { name: 'fd', type: 'u32', doc: 'a standard stream' },
        { name: 'out', type: 'out terminal', doc: 'how it is' },
      ],
      result: 'errno',
      errors: {
        EBADF: '`fd` is not open',
        EFAULT: '`out` leaves the memory',
        ENOTTY: 'it is no terminal, or none of this session',
      },
    },
    terminal_set: {
      doc: 'Changes how the terminal treats what is typed and written, from now on.',
      parameters: [
        { name: 'fd', type: 'u32', doc: 'a standard stream' },
        { name: 'flags', type: 'i32', doc: 'of TERMINAL_' },
        { name: 'input', type: 'u32', doc: 'c_iflag' },
        { name: 'output', type: 'u32', doc: 'c_oflag' },
        { name: 'local', type: 'u32', doc: 'c_lflag' },
        { name: 'characters', type: 'bytes', doc: 'c_cc' },
        { name: 'characters_len', type: 'u32', doc: 'bytes of it' },
      ],
      result: 'errno',
      errors: {
        EBADF: '`fd` is not open',
        EFAULT: '`characters` leaves the memory',
        EINVAL: 'a flag is unknown, or more than 32 characters',
        ENOTTY: 'it is no terminal, or none of this session',
      },
    },
    terminal_resize: {
      doc: 'Says how large the terminal is: its foreground gets SIGWINCH where that is news.',
      parameters: [
        { name: 'fd', type: 'u32', doc: 'a standard stream' },
        { name: 'rows', type: 'u32', doc: 'lines' },
        { name: 'columns', type: 'u32', doc: 'characters of a line' },
      ],
      result: 'errno',
      errors: {
        EBADF: '`fd` is not open',
        EINVAL: 'more than 65535',
        ENOTTY: 'it is no terminal, or none of this session',
      },
    },
    terminal_foreground: {
      doc: 'Says which process group is in the foreground: it gets the signals of keys, and it alone may read.',
      parameters: [
        { name: 'fd', type: 'u32', doc: 'a standard stream' },
        { name: 'group', type: 'u64', doc: 'the group' },
      ],
      result: 'errno',
      errors: {
        EBADF: '`fd` is not open',
        EINVAL: '`group` is 0',
        ENOTTY: 'it is no terminal, or none of this session',
      },
    },
    pipe: {
      doc: 'A pipe, for children of this process: what is written to one end is read from the other, in order.  It holds some 200 KiB; a write waits for room, a read for bytes; a read after the last writer closed or died is empty, a write after the last reader did is EPIPE.',
      parameters: [{ name: 'out', type: 'out ends', doc: 'both ends' }],
      result: 'errno',
      errors: { EFAULT: '`out` leaves the memory', EMFILE: 'the process has as many descriptors as it may' },
    },
    dup: {
      doc: 'A descriptor once more, at the same position.',
      parameters: [
        { name: 'fd', type: 'u32', doc: 'which' },
        {
          name: 'to',
          type: 'u32',
          doc: 'its other number, which is closed first where it is open; UINT32_MAX: the lowest that is free',
        },
        { name: 'out', type: 'out u32', doc: 'its other number' },
      ],
      result: 'errno',
      errors: {
        EBADF: '`fd` is not open, or `to` is too large',
        EFAULT: '`out` leaves the memory',
        EMFILE: 'the process has as many descriptors as it may',
      },
    },
    signal_action: {
      doc: "What a signal comes to.  With HANDLER the program's exported function `odonata_signal`, or that of {signal_function}, is called with its number: at the return from a call, or in the middle of what the first thread computes.  A call that waits ends with EINTR first: reads of standard input, polls and sleeps, {wait}, {wait32}.",
      parameters: [
        { name: 'signal', type: 'i32', doc: 'as WASI numbers it' },
        { name: 'action', type: 'i32', doc: 'of SIGNAL_' },
      ],
      result: 'errno',
      errors: {
        EINVAL: 'no such signal or action, or one that cannot be had otherwise (KILL, STOP)',
        ENOTSUP: 'HANDLER, and the program has none: no `odonata_signal`, and no {signal_function}',
      },
    },
    signal_function: {
      doc: "Which function HANDLER calls from now on, instead of the exported `odonata_signal`: its number in the program's table, which is what its address is in C.  It takes the number of a signal, and returns nothing.  A linker of commands may wrap each function that is exported (wasm-ld does, where the C library begins by what is exported, as that of Debian 12): a wrapper runs constructors and what atexit() has at each call.",
      parameters: [{ name: 'index', type: 'u32', doc: 'its number in the table' }],
      result: 'errno',
      errors: {
        EINVAL: 'the table has no function there',
        ENOTSUP: 'another thread than the first one asks',
      },
    },
    park_area: {
      doc: 'Where this program leaves its stack while it is parked; once, before it waits.  A program that has this call is one that Asyncify went through.',
      parameters: [
        { name: 'addr', type: 'address', doc: 'on 4 bytes' },
        { name: 'len', type: 'u32', doc: 'a multiple of 4: some 100 for each function that it may be in' },
      ],
      result: 'errno',
      errors: {
        EINVAL: '`addr` or `len` is no multiple of 4, or there is no room',
        EFAULT: 'it leaves the memory',
      },
    },
    set_session: {
      doc: 'Makes a session and a process group of this process alone.',
      parameters: [],
      result: 'errno',
      errors: { EPERM: 'others are in a group that it leads' },
    },
    snapshot: {
      doc: 'Here a snapshot of this program may be taken, by `vkctl snapshot`: returns 0 at once where nobody asked for one, 1 where one was taken.  A program of which there can be one exports `odonata_resume`, a function of nothing: what is started from the snapshot begins there, with the memory and the globals as they are here, and ends where it returns.',
      parameters: [],
      result: 'i32',
    },
    node_id: { doc: 'The node that this process runs on.', parameters: [], result: 'i32' },
    vkernel_id: { doc: 'The virtual kernel, numbered within its node.', parameters: [], result: 'i32' },
    process_id: { doc: "This process's cluster-wide pid.", parameters: [], result: 'i64' },
  },
} as const satisfies ModuleDescription;
