/** `unix:/path`: a socket of this machine. */
export const isUnix = (address: string): boolean => address.startsWith('unix:');

/** `/path` of `unix:/path` */
export const pathOf = (address: string): string => address.slice('unix:'.length);

/** `127.0.0.1:7421`, `[::1]:7421` or `cohd:7421` in two parts. */
export function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { host, port: Number(address.slice(colon + 1)) };
}

/** True for a host and a port from 0 to 65535, and for `unix:/path`. */
export function isAddress(address: string): boolean {
  if (/^unix:\/[^,\s]{1,107}$/.test(address)) return true;
  const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(address);
  return match !== null && Number(match[2]) <= 65_535;
}

/** An address that cannot be listened on: what the operator gave, so the service ends as for a bad setting. */
export class ListenError extends Error {
  /** Without what mends it: for an address that stands in a file. */
  readonly why: string;

  constructor(address: string, flag: string, cause: Error) {
    const why = `cannot listen on ${address}: ${reasonOf(cause)}`;
    super(`${why}; give --${flag} another address`, { cause });
    this.name = 'ListenError';
    this.why = why;
  }
}

function reasonOf(cause: Error): string {
  if (/EADDRINUSE/.test(cause.message)) return 'somebody else listens there';
  if (/EADDRNOTAVAIL/.test(cause.message)) return 'this machine has no such address';
  if (/EACCES/.test(cause.message)) return 'that port needs privileges';
  return cause.message;
}
