// userfaultfd(2): page faults of this process, or of another one that handed its descriptor over,
// as messages. The ioctls act on the address space of the process that made the descriptor, so the
// pmap manager can fill, protect and wake the pages of its virtual kernels from outside.
import { readFileSync, readlinkSync } from 'node:fs';
import * as libc from './libc.ts';
import { watchDescriptor } from './watch-descriptor.ts';

const UFFDIO = {
  API: 0xc018aa3f,
  REGISTER: 0xc020aa00,
  UNREGISTER: 0x8010aa01,
  WAKE: 0x8010aa02,
  COPY: 0xc028aa03,
  ZEROPAGE: 0xc020aa04,
  WRITEPROTECT: 0xc018aa06,
  CONTINUE: 0xc020aa07,
} as const;

const API_VERSION = 0xaan;
const USER_MODE_ONLY = 1;
const CONTINUE_DONT_WAKE = 1n;
const CONTINUE_WRITE_PROTECTED = 2n;
const O_CLOEXEC = 0o2000000;
/** poll(2) reports an error on a userfaultfd that blocks. */
const O_NONBLOCK = 0o4000;

/** Feature bits of the UFFDIO_API handshake (linux/userfaultfd.h). */
export const Feature = {
  MISSING_SHMEM: 1n << 5n,
  MINOR_SHMEM: 1n << 10n,
  EXACT_ADDRESS: 1n << 11n,
  WP_HUGETLBFS_SHMEM: 1n << 12n,
} as const;

/** Events that a process waits for until somebody reads them: FORK, REMAP, REMOVE, UNMAP. */
const EVENTS = (1n << 1n) | (1n << 2n) | (1n << 3n) | (1n << 6n);

const NEEDED = Feature.MISSING_SHMEM | Feature.MINOR_SHMEM | Feature.WP_HUGETLBFS_SHMEM;

/** What a range is watched for. */
export const Watch = { MISSING: 1, WRITE_PROTECT: 2, MINOR: 4 } as const;

/** One fault as the kernel reports it. */
export interface FaultMessage {
  /** Address of the page. */
  page: bigint;
  /** Of the access, in its page. */
  offset: number;
  write: boolean;
  /** The page is present and write-protected. */
  writeProtected: boolean;
  /** The page is in the file, and not in this mapping. */
  minor: boolean;
}

const MESSAGE_BYTES = 32;
const EVENT_PAGEFAULT = 0x12;

/** The outcome of an ioctl that the caller may have raced with: 0 or an errno. */
export type Raced = number;

/** One userfaultfd. */
export class Userfault {
  private descriptor: number;
  /** Linux 6.4 maps a page write-protected in one step; found out at the first try. */
  protectsAtOnce = true;
  private readonly three = new BigUint64Array(3);
  private readonly four = new BigUint64Array(4);
  private readonly five = new BigUint64Array(5);

  /** Takes a descriptor that was made here or received from another process. */
  constructor(fd: number) {
    this.descriptor = fd;
  }

  /** -1 once closed: a late call then fails with EBADF, and never reaches another descriptor of that number. */
  get fd(): number {
    return this.descriptor;
  }

  /**
   * Makes a descriptor for user mode faults only, which needs no privilege: a system call that
   * touches a watched page fails with EFAULT instead of waiting.
   * @throws SystemCallError where the kernel lacks it or a seccomp profile refuses it.
   */
  static create(): Userfault {
    const fd = libc.userfaultfd(O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);
    const api = new BigUint64Array([API_VERSION, NEEDED | Feature.EXACT_ADDRESS, 0n]);
    const errno = libc.ioctl(fd, UFFDIO.API, api);
    if (errno !== 0) {
      libc.close(fd);
      throw new libc.SystemCallError(
        'UFFDIO_API (write-protect on shared memory, Linux 5.19 or later)',
        errno,
      );
    }
    return new Userfault(fd);
  }

  /**
   * Takes what another process says is a userfaultfd of its own.
   * @throws Error where it is none, or was not made as `create` does; the descriptor stays the caller's
   */
  static adopt(fd: number): Userfault {
    const what = readlinkSync(`/proc/self/fd/${fd}`);
    if (what !== 'anon_inode:[userfaultfd]') throw new Error(`${what} is no userfaultfd`);
    // API:  version : features that it was made with : features that there are, in hexadecimal
    const made = /^API:\s*[0-9a-f]+:([0-9a-f]+):/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    const features = BigInt(`0x${made ?? '0'}`);
    if ((features & NEEDED) !== NEEDED || (features & EVENTS) !== 0n)
      throw new Error(`a userfaultfd with features ${features.toString(16)} will not do`);
    return new Userfault(fd);
  }

  /** Watches a range of this process. Bits of `Watch`. */
  register(address: bigint, lengthBytes: number, watch: number): void {
    this.four.set([address, BigInt(lengthBytes), BigInt(watch), 0n]);
    const errno = libc.ioctl(this.fd, UFFDIO.REGISTER, this.four);
    if (errno !== 0) throw new libc.SystemCallError('UFFDIO_REGISTER', errno);
  }

  /** Fills missing pages with zeros and wakes who waits for them. EEXIST when the first one is there. */
  zero(address: bigint, lengthBytes: number): Raced {
    this.four.set([address, BigInt(lengthBytes), 0n, 0n]);
    return libc.ioctl(this.fd, UFFDIO.ZEROPAGE, this.four);
  }

  /** Bytes that the last `zero` or `continue` that returned an error had done before it. */
  doneBytes(): number {
    return Number(BigInt.asIntN(64, this.four[3]!));
  }

  /**
   * Maps pages that are in the file, read-only when `protect`, and wakes who waits for them. Where the kernel cannot
   * do both in one step (before Linux 6.4), nobody may touch the pages meanwhile but who waits for them.
   */
  continue(address: bigint, lengthBytes: number, protect: boolean): Raced {
    if (protect && !this.protectsAtOnce) return this.continueThenProtect(address, lengthBytes);
    this.four.set([address, BigInt(lengthBytes), protect ? CONTINUE_WRITE_PROTECTED : 0n, 0n]);
    const errno = libc.ioctl(this.fd, UFFDIO.CONTINUE, this.four);
    if (!protect || errno !== libc.Errno.EINVAL) return errno;
    this.protectsAtOnce = false;
    return this.continueThenProtect(address, lengthBytes);
  }

  // Who waits is woken last, when the page is protected.
  private continueThenProtect(address: bigint, lengthBytes: number): Raced {
    this.four.set([address, BigInt(lengthBytes), CONTINUE_DONT_WAKE, 0n]);
    const errno = libc.ioctl(this.fd, UFFDIO.CONTINUE, this.four);
    const doneBytes = errno === 0 ? lengthBytes : Math.max(0, this.doneBytes());
    if (doneBytes === 0) return errno;
    this.writeProtect(address, doneBytes, true);
    this.wake(address, doneBytes);
    return errno;
  }

  /** Takes or gives write access; giving it wakes who waits for it. */
  writeProtect(address: bigint, lengthBytes: number, protect: boolean): Raced {
    this.three.set([address, BigInt(lengthBytes), protect ? 1n : 0n]);
    return libc.ioctl(this.fd, UFFDIO.WRITEPROTECT, this.three);
  }

  /** Lets who waits in a range try again. */
  wake(address: bigint, lengthBytes: number): Raced {
    const range = this.five.subarray(0, 2);
    range.set([address, BigInt(lengthBytes)]);
    return libc.ioctl(this.fd, UFFDIO.WAKE, this.five);
  }

  close(): void {
    if (this.descriptor === -1) return;
    libc.close(this.descriptor);
    this.descriptor = -1;
  }
}

/** Faults that are read at once. */
const READ_MAX = 16;

/**
 * Reads the faults of a descriptor in this thread's event loop, some at a time. Give it a thread of its own, that does
 * little else. The result ends it; the descriptor stays open.
 */
export function watchFaults(userfault: Userfault, onFaults: (faults: FaultMessage[]) => void): () => void {
  const buffer = new Uint8Array(MESSAGE_BYTES * READ_MAX);
  const view = new DataView(buffer.buffer);
  return watchDescriptor(userfault.fd, buffer, (byteCount) => onFaults(faultsIn(view, byteCount)));
}

function faultsIn(view: DataView, byteCount: number): FaultMessage[] {
  const faults: FaultMessage[] = [];
  for (let at = 0; at < byteCount; at += MESSAGE_BYTES) {
    if (view.getUint8(at) !== EVENT_PAGEFAULT) continue;
    const flags = view.getUint32(at + 8, true);
    faults.push({
      page: view.getBigUint64(at + 16, true) & ~0xfffn,
      offset: view.getUint32(at + 16, true) & 0xfff,
      write: (flags & 1) !== 0,
      writeProtected: (flags & 2) !== 0,
      minor: (flags & 4) !== 0,
    });
  }
  return faults;
}
