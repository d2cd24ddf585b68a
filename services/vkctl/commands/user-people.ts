// The people of a cluster as `vkctl user` finds them: where it began, in the files beside its authority; elsewhere, at its door.
import { create } from '@bufbuild/protobuf';
import { AddPersonRequestSchema, type Person as SaidPerson } from '@odonata/proto/door/v1/door';
import { nameOfRole, roleOf } from '@odonata/rpc/identity/identity.ts';
import { adminName } from '../cluster/certificates.ts';
import {
  addPerson,
  type Credential,
  listPeople,
  type Person,
  type PersonRole,
  removePerson,
} from '../cluster/people.ts';
import { elsewhere, runningRecord, withCluster } from '../connection.ts';
import { Failure } from '../failure.ts';
import { isDoorless, isNotConnected, overRestart } from './node-door.ts';
import { type ClusterOption, clusterOf } from './options.ts';

export interface Whom {
  readonly name: string;
  readonly role: PersonRole;
  readonly groups: readonly string[];
  readonly days: number;
}

export interface People {
  readonly cluster: string;
  /** Its routers, as whoever asks reaches them. */
  readonly syslink: string;
  list(): Promise<{ people: Person[]; starter: string; startedMs: number }>;
  /** @throws Failure, RpcError */
  add(whom: Whom): Promise<{ person: Person; credential: Credential }>;
  remove(name: string): Promise<Person>;
}

/** @throws Failure where the cluster has no identities, or is elsewhere and has no door */
export async function withPeople<T>(options: ClusterOption, use: (people: People) => Promise<T>): Promise<T> {
  const isNamed = options.cluster !== undefined || Boolean(process.env.ODONATA_CLUSTER);
  if (!isNamed && elsewhere(options.cluster) !== undefined) return await atDoor(options, use);
  const { plan, syslink, startedMs } = await runningRecord(clusterOf(options));
  if (plan.insecure)
    throw new Failure(`cluster "${plan.cluster}" was started with --insecure: everybody may do everything`, {
      fix: 'Start it without.',
    });
  const here: People = {
    ...{ cluster: plan.cluster, syslink },
    list: async () => ({ people: listPeople(plan), starter: adminName(), startedMs }),
    add: (whom) => addPerson(plan, whom),
    remove: (name) => removePerson(plan, name),
  };
  if (plan.host === undefined) return await use(here);
  return await byDoor(here, use);
}

/** The door makes an event of it, which says who it was. Without it the files are here all the same: whoever is to be put out is. */
async function byDoor<T>(here: People, use: (people: People) => Promise<T>): Promise<T> {
  const orHere = async <A>(asked: Promise<A>, otherwise: () => Promise<A>): Promise<A> => {
    try {
      return await asked;
    } catch (error) {
      if (!isNotConnected(error)) throw error;
      return await otherwise();
    }
  };
  let isThere = false;
  const through = (door: People): Promise<T> => {
    isThere = true;
    return use({
      ...here,
      add: (whom) => orHere(door.add(whom), () => here.add(whom)),
      remove: (name) => orHere(door.remove(name), () => here.remove(name)),
    });
  };
  try {
    return await atDoor({ cluster: here.cluster }, through);
  } catch (error) {
    if (isThere) throw error;
    return await use(here);
  }
}

/** Whoever asks is an admin there; the key of the authority stays where it is, and so does the one that is made here. */
function atDoor<T>(options: ClusterOption, use: (people: People) => Promise<T>): Promise<T> {
  return withCluster(options, async ({ name: cluster, routers, connection }) => {
    const door = connection.door();
    const asked = async <A>(ask: () => Promise<A>): Promise<A> => {
      try {
        return await overRestart(ask);
      } catch (error) {
        if (!isDoorless(error)) throw error;
        throw new Failure('this cluster lets nobody in from another machine: it has no door', {
          fix: 'Do it on the machine where it runs, or start it with: vkctl up --address HOST',
          cause: error,
        });
      }
    };
    return await use({
      ...{ cluster, syslink: routers },
      async list() {
        const { people, starter, startedMs } = await asked(() => door.listPeople({}));
        return { people: people.map(personOf), starter, startedMs: Number(startedMs) };
      },
      async add({ name, role, groups, days }) {
        const { newRequest } = await import('@odonata/authority/certificates.ts');
        const { keyPem, requestPem } = await newRequest();
        const about = { name, role: roleOf(role)!, groups: [...groups], days, request: requestPem };
        const answer = await asked(() => door.addPerson(create(AddPersonRequestSchema, about)));
        const { person, certificate, authority } = answer;
        return { person: personOf(person!), credential: { certificate, key: keyPem, authority } };
      },
      remove: async (name) => personOf((await asked(() => door.removePerson({ name }))).person!),
    });
  });
}

const personOf = ({ name, role, groups, serial, sinceMs, untilMs, removedMs }: SaidPerson): Person => ({
  ...{ name, role: nameOfRole(role) as PersonRole, groups: [...groups], serial },
  ...{ sinceMs: Number(sinceMs), untilMs: Number(untilMs) },
  ...(removedMs !== undefined && { removedMs: Number(removedMs) }),
});
