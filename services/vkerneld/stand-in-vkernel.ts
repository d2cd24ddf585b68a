// A virtual kernel for the tests of its supervisor: the real line, and programs that are one word.
//
//   echo      writes what it reads, exits 0 at the end of its input
//   spew:N    writes N KiB within its credit, exits 0
//   wait      until it is signalled
//   deaf      never reads its input
//   refuse    ends before its start
//   crash     takes the virtual kernel with it
//   size      writes the size of its module
//   keep      something of it is lost with its virtual kernel

import { closeSync, fstatSync } from 'node:fs';
import type { StartProcess } from '@odonata/proto/vkernel/v1/vkernel';
import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { useToken } from '@odonata/rpc/identity/own.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { ControlLink } from './vkernel/control-link.ts';

const setting = (name: string) => process.env[`ODONATA_VKERNEL_${name}`] ?? '';
const CREDIT_BYTES = 1024 * 1024;

interface Guest {
  readonly name: string;
  creditBytes: number;
  leftBytes: number;
}
const guests = new Map<bigint, Guest>();
const moduleBytes = new Map<bigint, number>();

useToken(setting('IDENTITY'));
const link = new ControlLink({
  address: setting('CONTROL'),
  name: setting('NAME'),
  token: setting('TOKEN'),
  log: createLog('stand-in', 'warn'),
  pids: () => [...guests.keys()],
  abandonedAfterMs: 40_000,
  onReattached: () => {
    for (const [pid, guest] of guests) {
      guest.creditBytes = CREDIT_BYTES;
      spew(pid, guest);
    }
  },
  onAbandoned: () => process.exit(1),
  onMessage: ({ event }) => {
    switch (event.case) {
      case 'modulePiece': {
        const { pid, data } = event.value;
        moduleBytes.set(pid, (moduleBytes.get(pid) ?? 0) + data.length);
        return;
      }
      case 'start':
        start(event.value);
        return;
      case 'limits':
        link.send({ case: 'has', value: { kept: 0 } });
        return;
      case 'input': {
        const { pid, data, end } = event.value;
        const guest = guests.get(pid);
        if (guest?.name !== 'echo') return;
        if (data.length > 0) {
          link.send({ case: 'stdinTaken', value: { pid, takenBytes: BigInt(data.length) } });
          write(pid, data);
        }
        if (end) exit(pid, 0);
        return;
      }
      case 'signal':
        if (guests.get(event.value.pid)?.name === 'compiles') {
          const exit = { code: 137, signal: event.value.signal, reason: '' };
          link.send({ case: 'ending', value: { pid: event.value.pid, exit } });
          return;
        }
        exit(event.value.pid, 128, event.value.signal);
        return;
      case 'outputTaken': {
        const guest = guests.get(event.value.pid);
        if (guest === undefined) return;
        guest.creditBytes += Number(event.value.takenBytes);
        spew(event.value.pid, guest);
        return;
      }
      case 'shutdown':
        if (setting('NAME').endsWith('/stubborn')) return;
        for (const pid of guests.keys()) exit(pid, 143, 'SIGTERM', 'its virtual kernel was shut down');
        setTimeout(() => process.exit(0), 50);
    }
  },
});

function start({ pid, program }: StartProcess): void {
  const name = program!.name;
  if (name === 'refuse') {
    link.send({ case: 'exited', value: { pid, exit: { code: 126, reason: 'not a program' } } });
    return;
  }
  const [word, kib = '0'] = name.split(':');
  const guest = { name: word!, creditBytes: CREDIT_BYTES, leftBytes: Number(kib) * 1024 };
  guests.set(pid, guest);
  link.send({ case: 'started', value: { pid } });
  link.send({ case: 'usage', value: { pid, residentPages: 3n, cpuMs: 5n, threads: 1 } });
  if (name === 'crash') process.abort();
  if (name === 'keep') {
    link.send({ case: 'has', value: { kept: 1 } });
    exit(pid, 0);
  }
  if (name === 'size') {
    write(
      pid,
      Buffer.from(
        `${program!.module.length + (moduleBytes.get(pid) ?? 0)} ${directories(pid, program!.dirs)}`,
      ),
    );
    exit(pid, 3);
  }
  spew(pid, guest);
}

/** How many there are, and their inodes. */
function directories(pid: bigint, dirs: { readOnly: boolean }[]): string {
  const fds = link.takeDirectories(pid, dirs.length);
  if (fds === undefined) return 'missing';
  const inodes = fds.map((fd) => fstatSync(fd).ino);
  for (const fd of fds) closeSync(fd);
  return [dirs.length, ...inodes].join(' ');
}

function write(pid: bigint, data: Uint8Array): void {
  link.send({ case: 'output', value: { pid, output: { stream: StdStream.OUT, data } } });
}

function spew(pid: bigint, guest: Guest): void {
  if (guest.name !== 'spew') return;
  while (guest.leftBytes > 0 && guest.creditBytes > 0) {
    const bytes = Math.min(guest.leftBytes, guest.creditBytes, 64 * 1024);
    guest.leftBytes -= bytes;
    guest.creditBytes -= bytes;
    write(pid, new Uint8Array(bytes).fill(65));
  }
  if (guest.leftBytes === 0) exit(pid, 0);
}

function exit(pid: bigint, code: number, signal = '', reason = signal && `killed by ${signal}`): void {
  if (!guests.delete(pid)) return;
  link.send({ case: 'exited', value: { pid, exit: { code, signal, reason } } });
}
