// Where programs may listen (--allow-listen): nowhere, unless whoever starts this service says so. A listener is opened here and goes to
// a virtual kernel as a descriptor, for that makes no sockets. Programs of this node that listen at the same place share one: whichever of
// them is free takes the next connection.

import { isIP } from 'node:net';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import { close, duplicate, SystemCallError } from '@odonata/userfault/libc.ts';
import { listenOn } from '@odonata/userfault/sockets.ts';

/** Of one program. */
export const LISTENERS_MAX = 16;
const LOOPBACK = '127.0.0.1';
const PORT_MAX = 65_535;

/** In words, what a person can do something about. */
const WHY_NOT: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program of this machine, or another node of it, listens there',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'vkerneld may not listen there, as a plain user below port 1024',
};

interface Shared {
  readonly fd: number;
  readonly users: Set<bigint>;
}

interface Rule {
  readonly host: string;
  readonly first: number;
  readonly last: number;
}

/** A listener for a program; whoever has it closes it. */
export interface OpenListener {
  readonly fd: number;
  readonly address: string;
}

export class AllowedListeners {
  readonly #said: readonly string[];
  readonly #rules: readonly Rule[];
  readonly #node: string;
  readonly #shared = new Map<string, Shared>();

  constructor(said: readonly string[], node: string) {
    this.#said = said;
    this.#node = node;
    this.#rules = said.map(ruleOf);
  }

  /** @throws RpcError PERMISSION_DENIED, INVALID_ARGUMENT */
  expectAllowed(addresses: readonly string[]): void {
    for (const address of addresses) {
      const { host, port } = addressOf(address);
      if (this.#rules.some((rule) => rule.host === host && rule.first <= port && port <= rule.last)) continue;
      const which = this.#said.length === 0 ? 'none is' : `allowed: ${this.#said.join(', ')}`;
      throw new RpcError(
        Code.PermissionDenied,
        `listening at ${host}:${port} is not allowed on ${this.#node} (${which}; vkerneld's --allow-listen says which)`,
      );
    }
  }

  /** Listeners of a process, until `ended`. @throws RpcError also FAILED_PRECONDITION where somebody else listens there */
  open(addresses: readonly string[], pid: bigint): OpenListener[] {
    this.expectAllowed(addresses);
    const opened: OpenListener[] = [];
    try {
      for (const text of addresses) {
        const { host, port } = addressOf(text);
        const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
        const shared = this.#shared.get(address) ?? {
          fd: this.#listenAt({ host, port }, address),
          users: new Set<bigint>(),
        };
        this.#shared.set(address, shared);
        shared.users.add(pid);
        opened.push({ fd: duplicate(shared.fd), address });
      }
      return opened;
    } catch (error) {
      closeListeners(opened);
      this.ended(pid);
      throw error;
    }
  }

  #listenAt(place: { host: string; port: number }, address: string): number {
    try {
      return listenOn(place);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      const why = WHY_NOT[error.code];
      throw new RpcError(
        Code.FailedPrecondition,
        `cannot listen at ${address} on ${this.#node}: ${why === undefined ? error.code : `${why} (${error.code})`}`,
      );
    }
  }

  /** The last one of a place closes it. */
  ended(pid: bigint): void {
    for (const [address, { fd, users }] of this.#shared) {
      if (!users.delete(pid) || users.size > 0) continue;
      this.#shared.delete(address);
      close(fd);
    }
  }
}

export function closeListeners(listeners: readonly OpenListener[]): void {
  for (const { fd } of listeners) close(fd);
}

/** HOST:PORT, [HOST]:PORT or PORT, which is of 127.0.0.1. @throws RpcError INVALID_ARGUMENT */
function addressOf(text: string): { host: string; port: number } {
  const { host, first: port, last } = ruleOf(text);
  if (port !== last)
    throw invalidField('start.listen', `"${text}" is more than one port: give --listen for each`);
  return { host, port };
}

export function isListenRule(text: string): boolean {
  try {
    ruleOf(text);
    return true;
  } catch {
    return false;
  }
}

/** @throws RpcError INVALID_ARGUMENT */
function ruleOf(text: string): Rule {
  const [, bracketed, plain, first, last = first] =
    /^(?:(?:\[([0-9a-f:]+)\]|([0-9.]+)):)?(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? LOOPBACK;
  const rule = { host, first: Number(first), last: Number(last) };
  const isPort = rule.first >= 1 && rule.last <= PORT_MAX && rule.first <= rule.last;
  if (first !== undefined && isPort && isIP(host) !== 0) return rule;
  throw invalidField(
    'start.listen',
    `"${text}" is no place to listen at: PORT (of ${LOOPBACK}), ADDRESS:PORT or [ADDRESS]:PORT`,
  );
}
