// The methods of VkernelService that are about virtual kernels: what each may have and has, its end.
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { isTheirs, ownerOnly } from '@odonata/rpc/identity/access.ts';
import { personOf } from '@odonata/rpc/identity/identity.ts';
import type { ShownLodger } from '@odonata/rpc/lodging/shown.ts';
import { notFound } from '@odonata/rpc/refusal.ts';
import type { CallContext, Handlers } from '@odonata/rpc/service.ts';
import { expectPerson } from './expected-person.ts';
import type { NamedConnections } from './names/named-connections.ts';
import type { ProcessTable } from './process-table.ts';
import { lodgerShown } from './shown-lodgers.ts';
import { keyOf } from './vkernel-child.ts';
import type { VkernelUses } from './vkernel-uses.ts';
import { expectVkernelName, type Vkernels } from './vkernels.ts';

export interface VkernelsPlace {
  readonly node: string;
  readonly table: ProcessTable;
  readonly vkernels: Vkernels;
  readonly uses: VkernelUses;
  readonly named: Pick<NamedConnections, 'openOf'>;
  /** The machine is that of another cluster. */
  readonly lodges?: boolean;
  /** Clusters that lodge on this machine. */
  readonly lodgers?: () => ShownLodger[];
}

type Methods = 'listVkernels' | 'setVkernel' | 'haltVkernel' | 'removeVkernel';

export function vkernelsHandlers({
  node,
  table,
  vkernels,
  uses,
  named: connections,
  lodgers = () => [],
}: VkernelsPlace): Pick<Handlers<typeof VkernelService>, Methods> {
  const named = ({ name, user }: { name: string; user: string }, { caller }: CallContext) => {
    expectVkernelName('name', name);
    expectPerson(user);
    return { name, user: user || (personOf(caller) ?? caller.name) };
  };
  /** As it is now, whether it runs or not. */
  const shown = ({ name, user }: { name: string; user: string }) => {
    const key = keyOf({ name, user });
    const child = vkernels.find(key);
    const about = { name, user, node, ...(vkernels.quotas.has(key) && { quota: vkernels.quotas.of(key) }) };
    const quota = about.quota && {
      ...about.quota,
      memoryBytes: BigInt(about.quota.memoryBytes),
      diskBytes: BigInt(about.quota.diskBytes),
    };
    const policy = vkernels.names.of(key);
    const names = policy && { ...policy, listen: [...policy.listen], connect: [...policy.connect] };
    const parked = vkernels.parked.get(key);
    if (child === undefined)
      return { ...about, quota, names, ...(parked && { parkedAt: timestampFromMs(parked.sinceMs) }) };
    const { hostPid, startedAtMs } = child.record;
    const { memoryBytes, cpuMs, cpuMillis, dataspaces } = uses.of(key);
    return {
      ...{ ...about, quota, names, hostPid, cpuMillis, dataspaces, processes: table.running(key).length },
      ...{ memoryBytes: BigInt(memoryBytes), cpuMs: BigInt(cpuMs), connections: connections.openOf(key) },
      ...{ diskBytes: BigInt(child.has.diskBytes), descriptors: child.has.descriptors },
      throttledMs: BigInt(vkernels.throttledMs(child)),
      startedAt: timestampFromMs(startedAtMs),
    };
  };

  return {
    listVkernels(_request, ctx) {
      const all = new Map([
        ...[...vkernels.quotas.all(), ...vkernels.names.all()].map(
          ([key, { name, user }]) => [key, { name, user }] as const,
        ),
        ...[...vkernels.parked].map(([key, { name, user }]) => [key, { name, user }] as const),
        ...vkernels.list().map(({ key, record: { name, user } }) => [key, { name, user }] as const),
      ]);
      const theirs = [...all]
        .filter(([, { user }]) => isTheirs(ctx, user))
        .sort(([a], [b]) => (a < b ? -1 : 1));
      const guests = lodgers().filter(({ user }) => isTheirs(ctx, user));
      return {
        vkernels: [...theirs.map(([, who]) => shown(who)), ...guests.map((each) => lodgerShown(node, each))],
        missingLayers: [...vkernels.missingLayers],
      };
    },

    async setVkernel({ name, user, quota, create, names }, ctx) {
      const who = named({ name, user }, ctx);
      const key = keyOf(who);
      const child = vkernels.find(key);
      const isSaid =
        vkernels.quotas.has(key) || vkernels.names.of(key) !== undefined || vkernels.parked.has(key);
      if (!create && child === undefined && !isSaid) throw noneOf(key, node);
      // All of it or nothing.
      if (names !== undefined) vkernels.names.expectRules(names);
      const { memoryBytes, cpuWeight, cpuMillis, processes, dataspaces, diskBytes, descriptors } =
        quota ?? {};
      vkernels.quotas.set(
        key,
        who,
        {
          ...{ cpuWeight, cpuMillis, processes, dataspaces, descriptors },
          diskBytes: diskBytes === undefined ? undefined : Number(diskBytes),
          memoryBytes: memoryBytes === undefined ? undefined : Number(memoryBytes),
        },
        create,
      );
      if (names !== undefined) vkernels.names.set(key, { ...who, names });
      vkernels.save();
      ctx.log.info({ vkernel: key, names, quota: vkernels.quotas.of(key) }, 'what a virtual kernel may have');
      if (child !== undefined) {
        vkernels.bound(child);
        vkernels.tellLimits(child);
      }
      await uses.look().catch((error) => {
        // What does not run has nothing yet, and is told before it starts anything.
        if (child !== undefined) throw error;
      });
      return { vkernel: shown(who) };
    },

    async haltVkernel({ name, user }, ctx) {
      const who = named({ name, user }, ctx);
      ownerOnly(ctx, who.user, `virtual kernel ${keyOf(who)} on ${node}`);
      const processes = await vkernels.halt(keyOf(who));
      if (processes === undefined && vkernels.forgetParked(keyOf(who))) return { processes: 0 };
      if (processes === undefined) throw noneOf(keyOf(who), node);
      return { processes };
    },

    removeVkernel({ name, user }, ctx) {
      const key = keyOf(named({ name, user }, ctx));
      if (vkernels.find(key) !== undefined)
        throw new RpcError(
          Code.FailedPrecondition,
          `virtual kernel ${key} runs on ${node}; vkctl vkernel halt ends it`,
        );
      const had = [vkernels.forgetParked(key), vkernels.names.remove(key)].includes(true);
      if (!had || vkernels.quotas.has(key)) vkernels.quotas.remove(key);
      vkernels.save();
      return {};
    },
  };
}

const noneOf = (key: string, node: string): RpcError =>
  notFound(
    { type: 'vkernel', name: key },
    `no virtual kernel ${key} on ${node}: vkctl vkernel ls shows them, vkctl vkernel create makes one`,
  );
