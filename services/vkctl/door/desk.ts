// What the door decides: who joins, how the nodes are, who is put out. What has to outlast it stands beside the authority.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '@odonata/authority/authority.ts';
import { tlsDirOf } from '@odonata/client/local/identity-folder.ts';
import type { Caller } from '@odonata/rpc/identity/identity.ts';
import { PEOPLE_FILE } from '@odonata/rpc/identity/people-list.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { commonWire, RELEASE, WIRE } from '@odonata/rpc/wire-version.ts';
import { alone } from '../cluster/authority-lock.ts';
import { authorityDir, callerOf, DAYS } from '../cluster/certificates.ts';
import { farAddress } from '../cluster/hosts.ts';
import { natsUserOf, newNatsPassword } from '../cluster/nats-users.ts';
import { type Member, membersIn, type NodesFile, readNodes, writeNodes } from '../cluster/nodes-file.ts';
import { INDEX_MAX } from '../cluster/paths.ts';
import { tellServices } from '../cluster/people.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import { directoriesOf, routerPortsOf } from '../supervisor/service-spec.ts';
import {
  CLOCK_MS,
  DoorRefusal,
  type JoinAnswer,
  type JoinRequest,
  type Lists,
  type LookAnswer,
  type LookRequest,
  NODE_NAME,
} from './messages.ts';
import type { TokenBook } from './token-book.ts';

/** Nodes of other machines at a time. */
export const MEMBERS_MAX = 64;
/** Nodes that were ever in, so that no certificate of one that was removed is forgotten. */
const EVER_MAX = 1_000;
/** Who joined and never came again may not have heard the answer: their name is free after so long. */
const CONFIRM_MS = 120_000;
/** Several lives of one answer that got lost. */
const SERIALS_MAX = 64;

export interface DeskOptions {
  readonly plan: ClusterPlan;
  readonly tokens: TokenBook;
  readonly log: Logger;
  readonly nowMs?: () => number;
  /** What of a node does not work yet. */
  readonly waitingFor: (node: string) => Promise<string[]>;
  /** For events. */
  readonly happened: (kind: 'node-joined' | 'node-removed', text: string, node: string) => void;
}

export class Desk {
  readonly #o: DeskOptions;
  /** What each machine said last, and when. */
  readonly #seen = new Map<string, { look: LookRequest; atMs: number }>();

  constructor(options: DeskOptions) {
    this.#o = options;
  }

  get #now(): number {
    return (this.#o.nowMs ?? Date.now)();
  }

  /** @throws DoorRefusal */
  join(request: JoinRequest): Promise<JoinAnswer> {
    const { tokens, plan } = this.#o;
    const { id, secret } = request;
    if (commonWire(request.wire, WIRE) === undefined)
      throw new DoorRefusal(
        'VERSION',
        `this cluster is of release ${RELEASE}, the machine of ${request.release || 'another one'}: they do not understand each other`,
      );
    if (!tokens.isHolder(id, secret)) throw new DoorRefusal('TOKEN_UNKNOWN', 'no such token');
    const apart = Math.abs(request.nowMs - this.#now);
    if (apart > CLOCK_MS)
      throw new DoorRefusal(
        'CLOCK',
        `the clocks of the two machines are ${Math.round(apart / 1_000)} s apart`,
      );
    return alone(plan, () => this.#join(request));
  }

  async #join(request: JoinRequest): Promise<JoinAnswer> {
    const { plan, tokens, log } = this.#o;
    const nowMs = this.#now;
    const nodes = readNodes(plan);
    const asked = createHash('sha256')
      .update(`${request.id} ${request.requests.pmapd} ${request.requests.vkerneld}`)
      .digest('hex');
    // Whoever did not hear the answer asks the same again, with the keys that they have made: that is no second node.
    const again = membersIn(nodes).find((each) => each.asked === asked && each.serials.length < SERIALS_MAX);
    const trouble = again === undefined ? tokens.troubleOf(request.id, request.secret, nowMs) : undefined;
    if (trouble !== undefined) throw new DoorRefusal(trouble, 'the token does not count any more');
    const current = again === undefined ? this.#withoutGhosts(nodes, nowMs) : nodes;
    const member = again ?? this.#newMember(current, request, asked, nowMs);
    // Never a new one: whoever it certified would be nobody here.
    if (!existsSync(join(authorityDir(plan), 'ca.key')))
      throw new DoorRefusal('BROKEN', 'the key of the authority is gone');
    const authority = await Authority.in(authorityDir(plan), plan.cluster);
    const certify = async (role: 'pmapd' | 'vkerneld') => {
      try {
        const who = callerOf(plan, role, member.name);
        return await authority.certify(request.requests[role], who, { days: DAYS });
      } catch (error) {
        throw new DoorRefusal('BAD_REQUEST', (error as Error).message.slice(0, 200));
      }
    };
    const [pmapd, vkerneld] = [await certify('pmapd'), await certify('vkerneld')];
    const after = {
      ...member,
      address: request.address,
      serials: [...member.serials, pmapd.serial, vkerneld.serial],
    };
    // First the token, then the node: a machine that falls between gives no second one away.
    if (again === undefined) tokens.use(request.id);
    const others = current.members.filter((each) => each !== member);
    writeNodes(plan, { ...current, members: [...others, after] });
    if (current !== nodes) tellServices(plan);
    log.info({ node: member.name, token: request.id, address: request.address }, 'a machine joins');
    if (again === undefined)
      this.#o.happened('node-joined', `${member.name} joined, at ${request.address}`, member.name);
    return {
      ...{ version: 1, cluster: plan.cluster, node: { name: member.name, index: member.index } },
      certificates: { pmapd: pmapd.certificatePem, vkerneld: vkerneld.certificatePem },
      ...{ natsUser: natsUserOf(member.name), natsPassword: member.natsPassword },
      ...this.#lists(),
    };
  }

  /** Without those whose machine has never been heard: they are out, as any other that was removed. */
  #withoutGhosts(nodes: NodesFile, nowMs: number): NodesFile {
    const isGhost = (each: Member) =>
      each.removedMs === undefined && !each.confirmed && each.sinceMs + CONFIRM_MS < nowMs;
    if (!nodes.members.some(isGhost)) return nodes;
    const members = nodes.members.map((each) => (isGhost(each) ? { ...each, removedMs: nowMs } : each));
    return { ...nodes, members };
  }

  #newMember(nodes: NodesFile, { name, address }: JoinRequest, asked: string, nowMs: number): Member {
    const { plan } = this.#o;
    const here = plan.nodes.map(({ index }) => index);
    const taken = new Set([...here, ...membersIn(nodes).map(({ index }) => index)]);
    if (nodes.members.length >= EVER_MAX)
      throw new DoorRefusal(
        'EVER_FULL',
        `${EVER_MAX} nodes of other machines have been in, and the certificates of those that went are not forgotten`,
      );
    if (membersIn(nodes).length >= MEMBERS_MAX)
      throw new DoorRefusal('FULL', `${MEMBERS_MAX} nodes of other machines are in already`);
    const wanted = name === undefined ? undefined : Number(NODE_NAME.exec(name)![1]);
    if (wanted !== undefined && taken.has(wanted))
      throw new DoorRefusal('NAME_TAKEN', `there is a ${name} already`);
    // Pids name their node: a number that was another one's is given again only by name, or when there is no other.
    const ever = new Set([...here, ...nodes.members.map(({ index }) => index)]);
    const all = Array.from({ length: INDEX_MAX }, (_, i) => i + 1);
    const index = wanted ?? all.find((each) => !ever.has(each)) ?? all.find((each) => !taken.has(each));
    if (index === undefined) throw new DoorRefusal('FULL', 'all names of nodes are taken');
    return {
      ...{ name: `node${index}`, index, serials: [], asked, natsPassword: newNatsPassword() },
      ...{ address, sinceMs: nowMs, confirmed: false },
    };
  }

  /** A machine says how its node is. @throws DoorRefusal */
  async look(caller: Caller, look: LookRequest): Promise<LookAnswer> {
    const { plan } = this.#o;
    const member = this.#memberOf(caller);
    // Of a node that starts its supervisor says how it is; this is who waits for that.
    if (look.state !== 'starting') this.#seen.set(member.name, { look, atMs: this.#now });
    if (!member.confirmed || member.address !== look.address)
      await alone(plan, () => this.#change(member, { confirmed: true, address: look.address }));
    const { revoked, people } = this.#lists();
    const stamp = createHash('sha256').update(`${revoked}\0${people}`).digest('hex');
    return {
      ...(stamp === look.known ? {} : { lists: { revoked, people, stamp } }),
      rest: readNodes(plan).resting.includes(member.name),
      waitingFor: look.state === 'starting' ? await this.#o.waitingFor(member.name) : [],
    };
  }

  /** A machine takes its node out itself. @throws DoorRefusal */
  leave(caller: Caller): Promise<Member | undefined> {
    return this.remove(this.#memberOf(caller).name);
  }

  /** Their certificates count no more. @returns undefined: there is no such node of another machine */
  remove(name: string): Promise<Member | undefined> {
    const { plan } = this.#o;
    return alone(plan, () => {
      const member = membersIn(readNodes(plan)).find((each) => each.name === name);
      if (member === undefined) return undefined;
      this.#change(member, { removedMs: this.#now }, (resting) => resting.filter((each) => each !== name));
      tellServices(plan);
      this.#seen.delete(name);
      this.#o.happened('node-removed', `${name} was removed`, name);
      return member;
    });
  }

  /** @returns false: there is no such node */
  rest(name: string, rest: boolean): Promise<boolean> {
    const { plan } = this.#o;
    return alone(plan, () => {
      const nodes = readNodes(plan);
      if (![...plan.nodes, ...membersIn(nodes)].some((each) => each.name === name)) return false;
      const others = nodes.resting.filter((each) => each !== name);
      writeNodes(plan, { ...nodes, resting: rest ? [...others, name] : others });
      return true;
    });
  }

  nodes(): NodesFile {
    return readNodes(this.#o.plan);
  }

  seen(name: string): { look: LookRequest; atMs: number } | undefined {
    return this.#seen.get(name);
  }

  /** Under the lock. */
  #change(
    { name, asked }: Member,
    change: Partial<Member>,
    resting: (before: string[]) => string[] = (before) => before,
  ): void {
    const { plan } = this.#o;
    const nodes = readNodes(plan);
    const members = nodes.members.map((each) =>
      each.name === name && each.asked === asked ? { ...each, ...change } : each,
    );
    writeNodes(plan, { ...nodes, members, resting: resting(nodes.resting) });
  }

  /** @throws DoorRefusal NOT_IN for one that was removed */
  #memberOf({ name, serial }: Caller): Member {
    const { members } = readNodes(this.#o.plan);
    const member = members.find((each) => each.name === name && each.serials.includes(serial ?? ''));
    if (member === undefined)
      throw new DoorRefusal('BROKEN', `the door knows no ${name} by that certificate`);
    if (member.removedMs !== undefined)
      throw new DoorRefusal('NOT_IN', `${name} was removed from the cluster`);
    return member;
  }

  #lists(): Lists {
    const { plan } = this.#o;
    const own = tlsDirOf(plan, 'door', 'door');
    const read = (file: string) => readFileSync(join(own, file), 'utf8');
    return {
      ...{ revoked: read('revoked'), people: read(PEOPLE_FILE) },
      ...{ routers: routerPortsOf(plan), nats: farAddress(plan, plan.ports.nats) },
      directories: directoriesOf(plan),
    };
  }
}
