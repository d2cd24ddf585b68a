// What a cluster leaves on the machine, looked for without asking any of its own code: processes that carry its name
// or its home in their command line or environment, sockets under its folder, listening ports, files.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Place {
  /** A path that only this cluster's processes know: its ODONATA_HOME. */
  home: string;
  /** Its unique name. */
  cluster: string;
  /** Ports that its services listened on. */
  ports: number[];
  /** Must not exist afterwards. */
  paths: string[];
}

/** A line for each trace; ends of processes take a moment, so it looks for up to `withinMs`. */
export async function tracesOf(place: Place, withinMs: number): Promise<string[]> {
  const endMs = Date.now() + withinMs;
  for (;;) {
    const processes = processesOf(place).map(({ pid, command }) => `process ${pid}: ${command}`);
    const traces = [...processes, ...sockets(place), ...files(place)];
    if (traces.length === 0 || Date.now() > endMs) return traces;
    await sleep(100);
  }
}

export interface Trace {
  pid: number;
  command: string;
}

/** Every process that knows the cluster's name or home, but the test's own. */
export function processesOf({ home, cluster }: Pick<Place, 'home' | 'cluster'>): Trace[] {
  const found: Trace[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid || pid === process.ppid) continue;
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
    const about = command + read(`/proc/${pid}/environ`);
    if (about.includes(home) || about.includes(cluster)) found.push({ pid, command });
  }
  return found;
}

const LISTEN = '0A';

function sockets({ cluster, ports }: Place): string[] {
  const unix = read('/proc/net/unix')
    .split('\n')
    .filter((line) => line.includes(cluster));
  const listening = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) =>
    read(table)
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => state === LISTEN && ports.includes(portOf(local!)))
      .map(([, local]) => `port ${portOf(local!)} is listened on`),
  );
  return [...unix.map((line) => `unix socket ${line}`), ...listening];
}

const portOf = (address: string): number => Number.parseInt(address.slice(address.lastIndexOf(':') + 1), 16);

function files({ cluster, paths }: Place): string[] {
  const left = paths.filter((path) => existsSync(path)).map((path) => `file ${path}`);
  const shared = readdirSync('/dev/shm').filter((name) => name.includes(cluster));
  return [...left, ...shared.map((name) => `memory /dev/shm/${name}`)];
}

/** Empty where it went away meanwhile, or is another user's. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
