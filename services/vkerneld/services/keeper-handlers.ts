// The methods of KeeperService: what people want is written down, by compare-and-set, and each node sees it there.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { KeeperService, ServiceSchema } from '@odonata/proto/service/v1/service';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { isTheirs, ownerOnly } from '@odonata/rpc/identity/access.ts';
import { personOf } from '@odonata/rpc/identity/identity.ts';
import { invalidField, overQuota, tryAgain } from '@odonata/rpc/refusal.ts';
import type { CallContext, Handlers } from '@odonata/rpc/service.ts';
import * as plan from '@odonata/services/plan.ts';
import {
  type InstanceRecord,
  type NodeRecord,
  nodeKey,
  SERVICES_OF_USER_MAX,
  type ServiceRecord,
  type StoredRecord,
  serviceKey,
} from '@odonata/services/record.ts';
import { unplaced } from '@odonata/services/unplaced.ts';
import { expectPerson } from '../expected-person.ts';
import { vkernelOf } from './service-vkernel.ts';
import type { ServiceStore } from './store.ts';
import { anew, changed, expectNoCircle, expectServiceName, specOf } from './wanted.ts';

const TRIES = 5;
/** Without these the answer says less. */
const MEMBERS_MS = 1_000;

export function keeperHandlers({
  store,
  changed: hurry,
  members,
}: {
  store: Pick<ServiceStore, 'list' | 'swap' | 'putPart'>;
  changed: () => void;
  /** Nodes that are there; undefined: nobody says. @throws RpcError also then */
  members: () => Promise<readonly string[] | undefined>;
}): Handlers<typeof KeeperService> {
  const ownerIn = (user: string, { caller }: CallContext) => {
    expectPerson(user);
    return user || (personOf(caller) ?? caller.name);
  };
  const looked = async () => {
    const { entries } = await store.list();
    const records = new Map(entries.map(({ key, revision, value }) => [key, { revision, value }]));
    const look = (key: string): StoredRecord | undefined => records.get(key)?.value;
    return { records, look };
  };
  const nodesThere = () =>
    Promise.race([members().catch(() => undefined), delay(MEMBERS_MS).then(() => undefined)]);
  /** Reads, decides and writes, again where another one was first. */
  const change = async (
    key: string,
    decide: (
      before: ServiceRecord | undefined,
      look: plan.Look,
      all: readonly StoredRecord[],
    ) => ServiceRecord | undefined,
  ): Promise<{ before: ServiceRecord | undefined; after: ServiceRecord | undefined }> => {
    for (let tries = 1; ; tries++) {
      const { records, look } = await looked();
      const before = look(key) as ServiceRecord | undefined;
      const after = decide(
        before,
        look,
        [...records.values()].map(({ value }) => value),
      );
      if (after === before) return { before, after };
      try {
        await store.swap(key, records.get(key)?.revision ?? 0, after);
        hurry();
        return { before, after };
      } catch (error) {
        if (!RpcError.is(error, Code.Aborted)) throw error;
        if (tries === TRIES)
          throw tryAgain(Code.Unavailable, 'the service changes just now; try again', { cause: error });
      }
    }
  };
  /** One that is there, and theirs. */
  const ofTheirs = (
    { name, user }: { name: string; user: string },
    ctx: CallContext,
    decide: (before: ServiceRecord, look: plan.Look) => ServiceRecord,
  ) => {
    const owner = ownerIn(user, ctx);
    return change(serviceKey(owner, name), (before, look) => {
      ownerOnly(ctx, owner, `service ${name}`);
      if (before === undefined || before.removed) throw noneOf(name, owner);
      return decide(before, look);
    });
  };

  return {
    async putProgram({ digest, part, data }) {
      if (!/^[0-9a-f]{64}$/.test(digest)) throw invalidField('digest', 'the SHA-256 of a program, in hex');
      await store.putPart(digest, part, data);
      return {};
    },

    async apply({ name, spec, replicas }, ctx) {
      const owner = ownerIn('', ctx);
      expectServiceName('name', name);
      if (spec === undefined) throw invalidField('spec', 'what the service is');
      for (const { service } of spec.dependsOn) expectServiceName('spec.depends_on', service);
      const wanted = specOf(spec);
      const { before, after } = await change(serviceKey(owner, name), (known, look, all) => {
        expectNoCircle(look, owner, name, wanted);
        if (known === undefined) expectRoom(all, owner);
        const to = { owner, groups: ctx.caller.groups, name, spec: wanted, replicas };
        return changed(look, known, to, Date.now());
      });
      const created = before === undefined || before.removed;
      if (after !== before) ctx.log.info({ service: name, owner, created }, 'a service is wanted');
      const [{ look }, nodes] = await Promise.all([looked(), nodesThere()]);
      return {
        ...{ created, changed: after !== before, generation: BigInt(after!.generation) },
        ...unplacedOf(look, after!, nodes),
      };
    },

    async listServices({ user, name }, ctx) {
      const [{ records, look }, nodes] = await Promise.all([looked(), nodesThere()]);
      const services = [...records.values()]
        .flatMap(({ value }) => (value.kind === 'service' ? [value] : []))
        .filter((each) => isTheirs(ctx, each.owner))
        .filter((each) => (user === '' || each.owner === user) && (name === '' || each.name === name))
        .sort((a, b) => (serviceKey(a.owner, a.name) < serviceKey(b.owner, b.name) ? -1 : 1))
        .map((each) =>
          shown(
            each,
            look,
            nodes,
            [...records.values()].map(({ value }) => value),
          ),
        );
      return { services: services.slice(0, 1_000) };
    },

    async scale({ name, user, replicas }, ctx) {
      await ofTheirs({ name, user }, ctx, (before) =>
        before.replicas === replicas ? before : { ...before, replicas },
      );
      return {};
    },

    async restart({ name, user }, ctx) {
      const { after } = await ofTheirs({ name, user }, ctx, (before, look) =>
        anew(look, before, before.spec, Date.now()),
      );
      return { generation: BigInt(after!.generation) };
    },

    async remove({ name, user }, ctx) {
      await ofTheirs({ name, user }, ctx, (before) => ({ ...before, removed: true }));
      return {};
    },
  };
}

function shown(
  service: ServiceRecord,
  look: plan.Look,
  nodes: readonly string[] | undefined,
  all: readonly StoredRecord[],
): MessageInitShape<typeof ServiceSchema> {
  const { name, owner, generation, replicas, removed, spec } = service;
  const instances = all
    .filter((each): each is InstanceRecord => each.kind === 'instance' && each.owner === owner)
    .filter((each) => each.service === name)
    .sort((a, b) => a.replica - b.replica)
    .map((each) => {
      const isLost = each.node !== '' && plan.isFree(look, each);
      return {
        ...{ replica: each.replica, node: each.node, vkernel: vkernelOf(name, each.replica) },
        ...{ state: isLost ? 'lost' : each.state, pid: BigInt(each.pid || '0') },
        lastPid: BigInt(each.lastPid || '0'),
        ...{ generation: BigInt(each.generation), restarts: each.restarts, moves: each.moves },
        ...{ code: each.code, reason: each.reason },
      };
    });
  return {
    ...{ name, user: owner, generation: BigInt(generation), replicas, removed, instances },
    program: spec.program.name,
    waitsFor: instances.length < replicas ? plan.waitsFor(look, service) : [],
    ...unplacedOf(look, service, nodes),
  };
}

/** Where nobody says which nodes are there, nothing is known of it. */
function unplacedOf(look: plan.Look, service: ServiceRecord, nodes: readonly string[] | undefined) {
  const found =
    nodes === undefined
      ? undefined
      : unplaced(
          look,
          service,
          nodes.filter((node) => (look(nodeKey(node)) as NodeRecord | undefined)?.deposed !== true),
        );
  return found === undefined ? {} : { unplaced: found };
}

/** @throws RpcError RESOURCE_EXHAUSTED */
function expectRoom(all: readonly StoredRecord[], owner: string): void {
  const theirs = all.filter((each) => each.kind === 'service' && each.owner === owner).length;
  if (theirs >= SERVICES_OF_USER_MAX)
    throw overQuota(
      `user:${owner}`,
      `${owner} has ${theirs} services, the most of one user: vkctl service rm removes some`,
    );
}

const noneOf = (name: string, owner: string): RpcError =>
  new RpcError(
    Code.NotFound,
    `no service ${JSON.stringify(name.slice(0, 80))} of ${owner}; vkctl service ls lists them`,
  );
