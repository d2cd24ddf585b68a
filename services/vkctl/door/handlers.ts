// What people ask of the door, through the routers.
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import {
  type DoorService,
  type JoinToken,
  type Node,
  NodeBoundsSchema,
  NodeState,
} from '@odonata/proto/door/v1/door';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { roleOf, shownCaller } from '@odonata/rpc/identity/identity.ts';
import { PERSON } from '@odonata/rpc/identity/person.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { invalidField, notFound } from '@odonata/rpc/refusal.ts';
import type { Handlers } from '@odonata/rpc/service.ts';
import { RELEASE } from '@odonata/rpc/wire-version.ts';
import { adminName, authorityDir } from '../cluster/certificates.ts';
import { farAddress } from '../cluster/hosts.ts';
import { type Member, membersIn, type NodesFile } from '../cluster/nodes-file.ts';
import { certifyPerson, listPeople, PERSON_ROLES, type Person, removePerson } from '../cluster/people.ts';
import type { ClusterPlan, ClusterRecord } from '../cluster/record.ts';
import { Failure } from '../failure.ts';
import type { Desk } from './desk.ts';
import { formatJoinToken, newJoinToken, pinOf } from './join-token.ts';
import type { KeptToken, TokenBook } from './token-book.ts';

/** A machine that said nothing for so long is away; it speaks each second. */
export const AWAY_MS = 5_000;
/** Of a token, where nothing is said. */
const TTL_MS = 3_600_000;

/** What of a cluster's people and nodes somebody changes is an event. */
type Change = 'person-added' | 'person-removed' | 'node-drained' | 'node-resumed';

export interface DoorHandlersOptions {
  readonly plan: ClusterPlan;
  readonly desk: Desk;
  readonly tokens: TokenBook;
  readonly folder: TlsFolder;
  /** For events. */
  readonly happened: (kind: Change, text: string, subject: { person: string } | { node: string }) => void;
  /** What the supervisor of this machine tells now. */
  readonly read: () => ClusterRecord | undefined;
}

type Said = Omit<Node, '$typeName' | '$unknown'>;

export function doorHandlers(o: DoorHandlersOptions): Handlers<typeof DoorService> {
  const { plan, desk, tokens, folder } = o;
  const memberNamed = (name: string): RpcError =>
    notFound({ type: 'node', name }, `no node "${name}"; nodes: ${namesIn(plan, desk.nodes()).join(', ')}`);
  return {
    makeToken({ ttlMs, uses }, { caller }) {
      const pin = pinOf(new X509Certificate(folder.identity.authorityPem).raw);
      const token = newJoinToken(plan.ports.door!, pin);
      const madeMs = Date.now();
      const terms = {
        by: shownCaller(caller),
        madeMs,
        untilMs: madeMs + (Number(ttlMs) || TTL_MS),
        usesLeft: uses || 1,
      };
      try {
        const kept = tokens.add(token, terms);
        return {
          token: formatJoinToken(token),
          kept: shownToken(kept),
          address: farAddress(plan, plan.ports.door!),
        };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        throw new RpcError(Code.ResourceExhausted, `${error.message}. ${error.fix ?? ''}`.trim());
      }
    },
    listTokens: () => ({ tokens: tokens.list(Date.now()).map(shownToken) }),
    revokeToken({ id }) {
      if (!tokens.revoke(id)) throw notFound({ type: 'token', name: id }, `no token "${id}"`);
      return {};
    },
    listNodes: () => ({ nodes: nodesNow(o) }),
    async drainNode({ node, resume }, { caller }) {
      const rested = desk.nodes().resting.includes(node);
      if (!(await desk.rest(node, !resume))) throw memberNamed(node);
      if (rested !== resume) return {}; // It is so already.
      const [kind, what] = resume
        ? (['node-resumed', 'work again'] as const)
        : (['node-drained', 'hand over what it has, and rest'] as const);
      o.happened(kind, `${shownCaller(caller)} had ${node} ${what}`, { node });
      return {};
    },
    async removeNode({ node }) {
      if (plan.nodes.some(({ name }) => name === node))
        throw new RpcError(
          Code.FailedPrecondition,
          `${node} is of the machine where the cluster began: it goes with the cluster`,
        );
      const before = nodesNow(o).find(({ name }) => name === node);
      if ((await desk.remove(node)) === undefined) throw memberNamed(node);
      return { node: before };
    },
    async addPerson({ name, role, groups, days, request }, { caller }) {
      for (const each of [name, ...groups])
        if (!PERSON.test(each))
          throw invalidField('name', `${JSON.stringify(each)} is no name of a person or group`);
      const word = PERSON_ROLES.find((each) => roleOf(each) === role);
      if (word === undefined) throw invalidField('role', `a person is ${PERSON_ROLES.join(', ')}`);
      // Never a new one: whoever it certified would be nobody here.
      if (!existsSync(join(authorityDir(plan), 'ca.key')))
        throw new RpcError(Code.FailedPrecondition, 'the key of the authority is gone');
      const whom = { name, role: word, groups, days: days || YEAR_DAYS };
      const { person, credential } = await certifyPerson(plan, whom, request).catch((error) => {
        throw refusal(error);
      });
      o.happened('person-added', `${shownCaller(caller)} let ${word} ${name} in`, { person: name });
      return { person: shownPerson(person), ...credential };
    },
    listPeople: () => ({
      people: listPeople(plan).slice(0, PEOPLE_SHOWN).map(shownPerson),
      starter: adminName(),
      startedMs: BigInt(o.read()?.startedMs ?? 0),
    }),
    async removePerson({ name }, { caller }) {
      const person = await removePerson(plan, name).catch((error) => {
        throw refusal(error);
      });
      o.happened('person-removed', `${shownCaller(caller)} put ${person.role} ${name} out`, { person: name });
      return { person: shownPerson(person) };
    },
  };
}

const YEAR_DAYS = 365;
/** As many as there may be. */
const PEOPLE_SHOWN = 10_000;

const shownPerson = ({ name, role, groups, serial, sinceMs, untilMs, removedMs }: Person) => ({
  ...{
    name,
    role: roleOf(role)!,
    groups: [...groups],
    serial,
    sinceMs: BigInt(sinceMs),
    untilMs: BigInt(untilMs),
  },
  ...(removedMs !== undefined && { removedMs: BigInt(removedMs) }),
});

const refusal = (error: unknown): unknown =>
  error instanceof Failure
    ? new RpcError(Code.FailedPrecondition, `${error.message}. ${error.fix ?? ''}`.trim(), { cause: error })
    : error;

const shownToken = ({
  id,
  by,
  madeMs,
  untilMs,
  usesLeft,
}: KeptToken): Omit<JoinToken, '$typeName' | '$unknown'> => ({
  ...{ id, by, usesLeft },
  madeMs: BigInt(madeMs),
  untilMs: BigInt(untilMs),
});

const namesIn = (plan: ClusterPlan, nodes: NodesFile): string[] => [
  ...plan.nodes.map(({ name }) => name),
  ...membersIn(nodes).map(({ name }) => name),
];

function nodesNow({ plan, desk, read }: DoorHandlersOptions): Said[] {
  const nodes = desk.nodes();
  const record = read();
  const here = plan.nodes.map(
    ({ name, index }, at): Said => ({
      ...{
        name,
        index,
        here: true,
        release: RELEASE,
        load: loadavg()[0]!,
        processors: availableParallelism(),
      },
      state: stateHere(record, name, nodes.resting.includes(name)),
      address: farAddress(plan, plan.ports.pmapd[at]!),
      sinceMs: BigInt(record?.startedMs ?? 0),
      seenMs: BigInt(Date.now()),
    }),
  );
  return [...here, ...membersIn(nodes).map((member) => elsewhere(member, desk))].sort(
    (a, b) => a.index - b.index,
  );
}

function elsewhere({ name, index, address, sinceMs }: Member, desk: Desk): Said {
  const said = desk.seen(name);
  const lodges = said?.look.lodges;
  const isAway = said === undefined || said.atMs + AWAY_MS < Date.now();
  return {
    ...{ name, index, address, here: false },
    state: isAway ? NodeState.AWAY : STATES[said.look.state],
    sinceMs: BigInt(sinceMs),
    seenMs: BigInt(said?.atMs ?? 0),
    release: said?.look.release ?? '',
    load: isAway ? -1 : said.look.load,
    processors: said?.look.processors ?? 0,
    ...(lodges && {
      lodges: create(NodeBoundsSchema, { ...lodges, memoryBytes: BigInt(lodges.memoryBytes) }),
    }),
  };
}

const STATES = {
  starting: NodeState.AWAY,
  down: NodeState.AWAY,
  ready: NodeState.READY,
  draining: NodeState.DRAINING,
  drained: NodeState.DRAINED,
} as const;

/** Of a node of this machine, by the states of its services. */
function stateHere(record: ClusterRecord | undefined, node: string, resting: boolean): NodeState {
  const states = record?.services.filter((each) => each.node === node).map(({ state }) => state) ?? [];
  if (resting) return states.every((state) => state === 'stopped') ? NodeState.DRAINED : NodeState.DRAINING;
  return states.length > 0 && states.every((state) => state === 'running') ? NodeState.READY : NodeState.AWAY;
}
