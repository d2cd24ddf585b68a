// A node's line to the door of its cluster, in the supervisor of its machine: each second it says how it is, and hears who counts
// no more, who is in, and whether it is to rest. While the door is away, what it said last counts.
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { tlsDirOf } from '@odonata/client/local/identity-folder.ts';
import { guarded } from '@odonata/rpc/bug.ts';
import { PEOPLE_FILE } from '@odonata/rpc/identity/people-list.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { RELEASE } from '@odonata/rpc/wire-version.ts';
import { z } from 'zod';
import { replaceFile } from '../cluster/authority-lock.ts';
import { farAddress } from '../cluster/hosts.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import {
  DoorRefusal,
  type Lists,
  type LookAnswer,
  type LookRequest,
  lookAnswer,
  PATHS,
} from '../door/messages.ts';
import { DoorClient } from './door-client.ts';

const LOOK_MS = 1_000;
const LOOK_MAX_MS = 15_000;

type Member = NonNullable<ClusterPlan['member']>;
type Folder = Pick<ClusterPlan, 'stateDir'>;
type Place = Pick<ClusterPlan, 'host' | 'ports'>;

/** Speaks for the node: as its vkerneld, whose key is here. */
export function doorOf({ stateDir }: Folder, { door, node }: Pick<Member, 'door' | 'node'>): DoorClient {
  const dir = tlsDirOf({ stateDir }, 'vkerneld', node);
  const read = (file: string) => readFileSync(join(dir, file));
  return new DoorClient({
    ...{ address: door, ca: read('ca.crt').toString() },
    identity: { cert: read('tls.crt'), key: read('tls.key') },
  });
}

/** What somebody else's machine lets it have. */
export type Bounds = NonNullable<LookRequest['lodges']>;

/** @param lodges how busy that machine is, is not for its lodgers */
export const lookOf = (plan: Place, state: LookRequest['state'], lodges?: Bounds): LookRequest => ({
  ...{ state, address: farAddress(plan, plan.ports.pmapd[0]!), release: RELEASE },
  load: lodges === undefined ? loadavg()[0]! : -1,
  processors: Math.min(availableParallelism(), Math.ceil((lodges?.cpuMillis || Infinity) / 1_000)),
  ...(lodges && { lodges }),
});

export const look = (client: DoorClient, request: LookRequest): Promise<LookAnswer> =>
  client.post(PATHS.look, request, lookAnswer);

/** It belongs to the cluster no more. */
export const leave = async (client: DoorClient): Promise<void> => {
  await client.post(PATHS.leave, {}, z.object({}));
};

/** For the services of the node, which read them when they change. */
export function writeLists(
  plan: Folder,
  node: string,
  { revoked, people }: Pick<Lists, 'revoked' | 'people'>,
): void {
  for (const role of ['pmapd', 'vkerneld'] as const) {
    const dir = tlsDirOf(plan, role, node);
    for (const [file, text] of [
      ['revoked', revoked],
      [PEOPLE_FILE, people],
    ] as const)
      if (readIfThere(join(dir, file)) !== text) replaceFile(join(dir, file), text);
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

export interface MemberLinkOptions {
  readonly plan: ClusterPlan;
  readonly member: Member;
  readonly node: { readonly state: LookRequest['state']; want(rest: boolean): void };
  readonly log: Logger;
  /** Of one that lodges here: what it may have. */
  readonly bounds?: () => Bounds;
  /** The cluster has put it out. */
  readonly removed: () => void;
}

export class MemberLink {
  readonly #o: MemberLinkOptions;
  #client: DoorClient | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #failures = 0;
  /** What of the lists is written here. */
  #known: string | undefined;

  constructor(options: MemberLinkOptions) {
    this.#o = options;
  }

  start(): void {
    this.#later(0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** It is down, and comes back by a start only. */
  async goodbye(): Promise<void> {
    const { plan, member } = this.#o;
    try {
      this.#client ??= doorOf(plan, member);
      await look(this.#client, lookOf(plan, 'down', this.#o.bounds?.()));
    } catch {
      // Then the door finds out by its silence.
    } finally {
      this.#client?.close();
    }
  }

  #later(ms: number): void {
    if (this.#stopped) return;
    const run = guarded(this.#o.log, { timer: 'door' }, () => void this.#look());
    this.#timer = setTimeout(run, ms);
  }

  async #look(): Promise<void> {
    const { plan, member, node, log } = this.#o;
    try {
      this.#client ??= doorOf(plan, member);
      // Whether it is to rest it hears first: until then it does not say that it works.
      const state = this.#known === undefined ? 'starting' : node.state;
      const answer = await look(this.#client, {
        ...lookOf(plan, state, this.#o.bounds?.()),
        known: this.#known,
      });
      if (this.#stopped) return;
      if (answer.lists !== undefined) {
        writeLists(plan, member.node, answer.lists);
        this.#known = answer.lists.stamp;
      }
      node.want(answer.rest);
      if (this.#failures > 0) log.info({ door: member.door }, 'the door of the cluster answers again');
      this.#failures = 0;
      this.#later(LOOK_MS);
    } catch (error) {
      if (this.#stopped) return;
      if (error instanceof DoorRefusal && error.refusal === 'NOT_IN') return this.#o.removed();
      this.#failures += 1;
      if (this.#failures === 1)
        log.warn(
          { door: member.door, reason: (error as Error).message },
          'the door of the cluster does not answer',
        );
      this.#later(Math.min(LOOK_MAX_MS, LOOK_MS * 2 ** Math.min(this.#failures, 4)));
    }
  }
}
