// A store of an earlier life of the cluster names dataspaces whose memory ended with that life: they go from the list,
// before a service reads it. Durable ones stay, with what they have stored.
import { Bus } from '@odonata/bus/bus.ts';
import { nameOf } from '@odonata/bus/stored.ts';
import { untilAnswered } from '@odonata/bus/until-answered.ts';

const ANSWER_MS = 20_000;

/** Returns their names. @throws Error: nats-server did not answer in time */
export async function forgetVolatile(
  address: string,
  cluster: string,
  credentials?: string,
  ca?: string,
): Promise<string[]> {
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const bus = await Bus.connect({ url: address, credentials, ca, cluster, name: 'vkctl up', log });
  try {
    const stopping = AbortSignal.timeout(ANSWER_MS);
    return await untilAnswered(() => forgetIn(bus), { log, line: '', stopping });
  } finally {
    await bus.close();
  }
}

async function forgetIn(bus: Bus): Promise<string[]> {
  const bucket = await bus.bucket('dataspaces');
  const keys: string[] = [];
  for await (const key of await bucket.keys()) keys.push(key);
  const names: string[] = [];
  for (const key of keys) {
    const entry = await bucket.get(key);
    if (entry?.operation !== 'PUT' || entry.json<{ durable?: boolean }>().durable) continue;
    await bucket.purge(key);
    names.push(nameOf(key));
  }
  return names;
}
