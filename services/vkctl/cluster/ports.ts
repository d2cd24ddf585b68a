// Ports below the kernel's range for outgoing connections: one that a service gives up while it restarts
// cannot meanwhile become the near end of somebody's connection.
import { readFileSync } from 'node:fs';
import { createServer, isIP } from 'node:net';
import { EXIT, Failure } from '../failure.ts';
import { ANY_HOST, LOOPBACK } from './hosts.ts';

const LOWEST = 10_240;

/** True when a port can be listened on now. */
export const isPortFree = async (port: number, host = LOOPBACK): Promise<boolean> =>
  (await whyNoPort(port, host)) === undefined;

/** Why a port cannot be listened on now; undefined where it can. */
export async function whyNoPort(
  port: number,
  host = LOOPBACK,
): Promise<'taken' | 'forbidden' | 'not here' | undefined> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
    return undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') return 'taken';
    if (code === 'EACCES') return 'forbidden';
    if (NOT_HERE.has(code ?? '')) return 'not here';
    throw error;
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** @param isFar `--address` says which, not `--port`. @throws Failure that says how to get another one */
export async function expectPort(
  port: number,
  { host = LOOPBACK, isFar = false }: { host?: string | undefined; isFar?: boolean } = {},
): Promise<void> {
  if (port > 65_535)
    throw new Failure(
      `port ${port} does not exist, and the services of the cluster need those in a row from the first`,
      {
        fix: 'Choose a lower one.',
        exitCode: EXIT.usage,
      },
    );
  const why = await whyNoPort(port, host);
  if (why === 'forbidden')
    throw new Failure(
      `port ${port} on ${host} is not for this user: the kernel gives it to root only (EACCES)`,
      {
        fix: isFar
          ? 'Choose one of 1024 or above with --address HOST:PORT.'
          : 'Choose one of 1024 or above with --port N, or any free one with --port 0.',
      },
    );
  if (why === 'taken')
    throw new Failure(
      isFar
        ? `port ${port} on ${host} is taken, and this cluster needs it`
        : `port ${port} on ${host} is taken, and the router (syslinkd) needs it`,
      {
        fix: `Choose another with ${isFar ? '--address HOST:PORT' : '--port N, or any free one with --port 0'}.`,
      },
    );
}

const NOT_HERE: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL']);

/**
 * What services listen on that others reach by this: itself where it is an address of this machine, else everything, as
 * behind a router that translates addresses.
 */
export async function listenHostFor(host: string): Promise<string> {
  return isIP(host) !== 0 && (await whyNoPort(0, host)) === undefined ? host : ANY_HOST;
}

/** So many different free ports, picked at random: clusters that start at the same time rarely meet. */
export async function pickPorts(
  count: number,
  { taken = [], host = LOOPBACK }: { taken?: readonly number[]; host?: string } = {},
): Promise<number[]> {
  const outgoing = /^(\d+)/.exec(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'));
  const end = Math.max(Number(outgoing?.[1] ?? 32_768), LOWEST + 4096);
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries++) {
    if (tries > count * 50) throw new Failure(`no ${count} free ports in ${LOWEST}..${end - 1}`);
    const port = LOWEST + Math.floor(Math.random() * (end - LOWEST));
    if (!taken.includes(port) && !ports.has(port) && (await isPortFree(port, host))) ports.add(port);
  }
  return [...ports];
}
