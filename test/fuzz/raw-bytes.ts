// Bytes that are of no protocol.
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import type { TestCluster } from '../cluster/cluster.ts';

/** At every socket of a node, and every port. */
export async function rawBytes(
  sockets: string,
  ports: TestCluster['record']['plan']['ports'],
  rounds: number,
): Promise<void> {
  const unix = [sockets, join(sockets, 'vkernels')].flatMap((dir) =>
    readdirSync(dir)
      .filter((name) => name.endsWith('.sock'))
      .map((name) => ({ path: join(dir, name) })),
  );
  const all = [ports.syslinkd[0], ports.cohd[0], ports.pmapd[0], ports.vkerneld[0]].map((port) => ({
    ...{ port: port!, host: '127.0.0.1' },
  }));
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  for (let round = 0; round < rounds; round++)
    for (const where of [...unix, ...all]) {
      await new Promise<void>((resolve) => {
        const socket = connectSocket(where, () => {
          if (round % 2 === 0) socket.write(preface);
          socket.write(randomBytes(1 + (round % 64) * 16));
          setTimeout(() => socket.destroy(), 5);
        });
        socket.on('error', () => {});
        socket.once('close', () => resolve());
      });
    }
}
