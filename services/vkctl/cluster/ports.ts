// Ports below the kernel's range for outgoing connections: one that a service gives up while it restarts
// cannot meanwhile become the near end of somebody's connection.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { Failure } from '../failure.ts';

const LOWEST = 10_240;

/** True when 127.0.0.1:port can be listened on now. */
export const isPortFree = async (port: number): Promise<boolean> => (await whyNoPort(port)) === undefined;

/** Why 127.0.0.1:port cannot be listened on now; undefined where it can. */
export async function whyNoPort(port: number): Promise<'taken' | 'forbidden' | undefined> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: '127.0.0.1', port, exclusive: true }, resolve);
    });
    return undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') return 'taken';
    if (code === 'EACCES') return 'forbidden';
    throw error;
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** @throws Failure that says how to get another one */
export async function expectPort(port: number): Promise<void> {
  const why = await whyNoPort(port);
  if (why === 'forbidden')
    throw new Failure(
      `port ${port} on 127.0.0.1 is not for this user: the kernel gives it to root only (EACCES)`,
      {
        fix: 'Choose one of 1024 or above with --port N, or any free one with --port 0.',
      },
    );
  if (why === 'taken')
    throw new Failure(`port ${port} on 127.0.0.1 is taken, and the router (syslinkd) needs it`, {
      fix: 'Choose another with --port N, or any free one with --port 0.',
    });
}

/** So many different free ports, picked at random: clusters that start at the same time rarely meet. */
export async function pickPorts(count: number, taken: readonly number[] = []): Promise<number[]> {
  const outgoing = /^(\d+)/.exec(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'));
  const end = Math.max(Number(outgoing?.[1] ?? 32_768), LOWEST + 4096);
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries++) {
    if (tries > count * 50) throw new Failure(`no ${count} free ports in ${LOWEST}..${end - 1}`);
    const port = LOWEST + Math.floor(Math.random() * (end - LOWEST));
    if (!taken.includes(port) && !ports.has(port) && (await isPortFree(port))) ports.add(port);
  }
  return [...ports];
}
