// Beside what a user would pick instead: Redis and NATS for data that several nodes use, User Mode Linux and WasmEdge for programs
// apart from their machine. Each is a package of the distribution, and is passed over where it is missing.
import type { Part, ResultTable, Setting } from './part.ts';
import { betweenTwo } from './peers/between-two.ts';
import { machines } from './peers/machines.ts';
import { readMostly } from './peers/read-mostly.ts';
import { type Server, withServer } from './peers/servers.ts';

export const peers: Part = {
  title: 'Beside what a user would pick instead',
  nodes: () => 3,
  async run(setting) {
    const missing: string[] = [];
    const shared = await withServers(setting, missing, async (servers) => {
      const table = await readMostly(setting, servers);
      const between = await betweenTwo(setting, servers);
      return { table, between };
    });
    const alone = await machines(setting, missing);
    const tables: ResultTable[] = [shared.table.table, shared.between.table, ...alone.tables];
    tables[0]!.notes.push(...missing.map((each) => `Not here, and passed over: ${each}`));
    return {
      figures: shared.table.figures,
      tables,
      measured: {
        readMostly: shared.table.measured,
        between: shared.between.measured,
        machines: alone.measured,
      },
    };
  },
};

/** With those that are on this machine. */
async function withServers<T>(
  setting: Setting,
  missing: string[],
  use: (servers: { redis?: Server; nats?: Server }) => Promise<T>,
): Promise<T> {
  const withNats = async (redis: { redis?: Server }): Promise<T> => {
    const done = await withServer(setting, 'nats', (nats) =>
      use({ ...redis, nats }).then((result) => ({ result })),
    );
    if (done !== undefined) return done.result;
    missing.push('nats-server');
    return await use(redis);
  };
  const done = await withServer(setting, 'redis', (redis) =>
    withNats({ redis }).then((result) => ({ result })),
  );
  if (done !== undefined) return done.result;
  missing.push('redis-server (apt-get install redis-server)');
  return await withNats({});
}
