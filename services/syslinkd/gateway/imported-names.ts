// Names of other clusters, as our own routers know them: NAME@CLUSTER. One is there as soon as the other cluster has offered it and our
// policy imports it; while the line is down it stands there unwell, so that whoever asks hears of that, and not that there is none.
import type { Logger } from '@odonata/rpc/log.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import type { OwnName } from '@odonata/rpc/syslink/own-names.ts';
import { isName } from '@odonata/syslink/names/name-table.ts';
import type { Policy } from './policy.ts';

/** An endpoint has 256 at most. */
const IMPORTED_MAX = 256;

interface Imported {
  readonly own: OwnName;
  readonly groups: readonly string[] | undefined;
  isWell: boolean;
}

export class ImportedNames {
  readonly #syslink: SyslinkEndpoint;
  readonly #log: Logger;
  readonly #offered = new Map<string, readonly string[]>();
  readonly #names = new Map<string, Imported>();

  constructor(syslink: SyslinkEndpoint, log: Logger) {
    this.#syslink = syslink;
    this.#log = log;
  }

  of(peer: string): string[] {
    return [...this.#names.keys()].filter((name) => name.endsWith(`@${peer}`)).sort();
  }

  offered(peer: string, names: readonly string[]): void {
    this.#offered.set(peer, names);
  }

  /** Registers what is offered and imported, and withdraws all else. */
  look(policy: Policy, isUp: (peer: string) => boolean): void {
    const wanted = new Map<string, { peer: string; groups: readonly string[] | undefined }>();
    for (const [peer, { imports }] of policy.peers) {
      for (const name of this.#offered.get(peer) ?? []) {
        const full = `${name}@${peer}`;
        if (!imports.has(name) || !isName(full) || wanted.size >= IMPORTED_MAX) continue;
        wanted.set(full, { peer, groups: imports.get(name) });
      }
    }
    for (const peer of [...this.#offered.keys()]) if (!policy.peers.has(peer)) this.#offered.delete(peer);
    for (const [full, { own, groups }] of [...this.#names]) {
      const now = wanted.get(full);
      if (now !== undefined && String(now.groups) === String(groups)) continue;
      own.withdraw();
      this.#names.delete(full);
    }
    for (const [full, { peer, groups }] of wanted) {
      const isWell = isUp(peer);
      const known = this.#names.get(full) ?? this.#register(full, groups);
      if (known.isWell !== isWell) known.own.well(isWell);
      known.isWell = isWell;
    }
  }

  #register(full: string, groups: readonly string[] | undefined): Imported {
    const refused = (error: Error): void => {
      this.#log.error({ name: full, reason: error.message }, 'the routers do not take the name');
    };
    const options = { everyone: groups === undefined, groups: groups ?? [], refused };
    const imported = { own: this.#syslink.register(full, options), groups, isWell: true };
    this.#names.set(full, imported);
    return imported;
  }
}
