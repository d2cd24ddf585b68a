// The devices of /dev, for every program: none of them is a device of the host.
//
//   null zero full random urandom   made here
//   stdin stdout stderr fd/N        opened, they are what the descriptor is, as Linux has it: a file anew, from its beginning
//   tty                             the terminal of the process, where it has one; else ENXIO

import { randomFillSync } from 'node:crypto';
import { Filetype } from '../abi.ts';
import { Errno, WasiError } from '../errno.ts';
import { utf8 } from '../guest-memory.ts';
import type { ListedName } from './file-request.ts';

export const deviceNames = ['null', 'zero', 'full', 'random', 'urandom'] as const;
export type DeviceName = (typeof deviceNames)[number];

const streams: Readonly<Record<string, number>> = { stdin: 0, stdout: 1, stderr: 2 };
const others = [...Object.keys(streams), 'tty'];

/** What a path from "/" on names in /dev: `null`, `fd/3`. Undefined where it is no device. */
export function deviceOf(path: string): string | undefined {
  if (!path.startsWith('dev/')) return undefined;
  const name = path.slice('dev/'.length);
  const known = isDevice(name) || others.includes(name) || /^fd\/(0|[1-9]\d{0,3})$/.test(name);
  return known ? name : undefined;
}

export const isDevice = (name: string): name is DeviceName =>
  (deviceNames as readonly string[]).includes(name);

/** The descriptor that a name of /dev stands for; undefined where it stands for none. */
export function descriptorNamed(name: string): number | undefined {
  return name in streams ? streams[name] : name.startsWith('fd/') ? Number(name.slice(3)) : undefined;
}

/** Numbers by which programs tell one file from another. */
export const inodeOfDevice = (name: string): bigint => {
  const at = [...deviceNames, ...others].indexOf(name);
  return at >= 0 ? BigInt(16 + at) : BigInt(1024 + Number(name.slice(3)));
};

/** What `dev` and `dev/fd` list beside directories. */
export function deviceEntries(above: string, open: readonly number[]): ListedName[] {
  const names =
    above === 'dev' ? [...deviceNames, ...others] : above === 'dev/fd' ? open.map((fd) => `fd/${fd}`) : [];
  const devices = names.map((name) => ({
    name: utf8(name.replace('fd/', '')),
    filetype: Filetype.characterDevice,
    inode: inodeOfDevice(name),
  }));
  return above === 'dev'
    ? [...devices, { name: utf8('fd'), filetype: Filetype.directory, inode: 1n }]
    : devices;
}

/** Fills `bytes` as a read of the device does. @returns how many of them */
export function readDevice(device: DeviceName, bytes: Uint8Array<ArrayBuffer>): number {
  switch (device) {
    case 'null':
      return 0;
    case 'zero':
    case 'full':
      bytes.fill(0);
      return bytes.length;
    case 'random':
    case 'urandom':
      randomFillSync(bytes);
      return bytes.length;
  }
}

/** All are taken, and gone. @throws WasiError ENOSPC */
export function writeDevice(device: DeviceName, lengthBytes: number): number {
  if (device === 'full' && lengthBytes > 0) throw new WasiError(Errno.nospc);
  return lengthBytes;
}
