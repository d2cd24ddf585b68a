// What NATS did not let a service do: counted each time, and told once for each kind, since it may be tried for ever.
import type { Status } from 'nats';

/** Kinds that are told; of more than that there is nothing new to learn. */
const TOLD_MAX = 32;

export class Refusals {
  count = 0;
  private readonly url: string;
  private readonly log: { error(fields: object, line: string): void };
  private readonly told = new Set<string>();

  constructor(url: string, log: { error(fields: object, line: string): void }) {
    this.url = url;
    this.log = log;
  }

  tell(what: string): void {
    this.count++;
    // The same to another dataspace, key or inbox is the same.
    const kind = what.split('.').slice(0, 5).join('.').replaceAll(/\d+/g, '0');
    if (this.told.has(kind) || this.told.size >= TOLD_MAX) return;
    this.told.add(kind);
    this.log.error(
      { url: this.url, what },
      'NATS refuses this service: its credential is not the one that the server knows, or is for another role',
    );
  }
}

/** In words of an event of nats.js of type `error`. */
export function whatOf({ data, permissionContext }: Status): string {
  if (permissionContext === undefined) return String(data);
  return `${permissionContext.operation} ${permissionContext.subject}`;
}
