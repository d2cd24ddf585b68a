// Ports below the kernel's range for outgoing connections: one that a service gives up while it restarts
// cannot meanwhile become the near end of somebody's connection.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { Failure } from '../failure.ts';

const LOWEST = 10_240;

/** True when 127.0.0.1:port can be listened on now. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: '127.0.0.1', port, exclusive: true }, resolve);
    });
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE' || code === 'EACCES') return false;
    throw error;
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
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
