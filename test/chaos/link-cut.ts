// Cuts the links of a process: in a network namespace of our own, packets of its connections are dropped, and no new
// ones are let through to the ports of the others.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const TABLE = 'odonata_chaos';

/** Set for a run in a network namespace of its own: nobody else's links are in there. */
export const INSIDE = 'ODONATA_CHAOS_INSIDE';

// Where administrators' tools are, which the PATH of a plain user lacks.
process.env.PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** True where links can be cut. */
export function canCut(): boolean {
  if (process.env[INSIDE] === undefined) return false;
  try {
    execFileSync('nft', ['list', 'ruleset'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Drops what goes between a process and the world. @param ports that nobody may connect to meanwhile */
export function cut(pid: number, ports: readonly number[]): void {
  const own = [...connectionPorts(pid)];
  const set = (list: readonly number[]): string => `{ ${list.join(', ')} }`;
  const rules = [`tcp dport ${set(ports)} tcp flags & (syn | ack) == syn drop`];
  if (own.length > 0) rules.push(`tcp sport ${set(own)} drop`, `tcp dport ${set(own)} drop`);
  const chain = ['type filter hook output priority 0;', ...rules].join('\n');
  execFileSync('nft', ['-f', '-'], { input: `table inet ${TABLE} {\nchain output {\n${chain}\n}\n}\n` });
}

export function mend(): void {
  execFileSync('nft', ['delete', 'table', 'inet', TABLE], { stdio: 'ignore' });
}

// Ports at the process's end of its connections: of those that it made they are nobody else's.
function connectionPorts(pid: number): Set<number> {
  const inodes = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const target = /^socket:\[(\d+)\]$/.exec(orEmpty(() => readlinkSync(`/proc/${pid}/fd/${fd}`)));
    if (target !== null) inodes.add(target[1]!);
  }
  const ports = new Set<number>();
  for (const line of readFileSync(`/proc/${pid}/net/tcp`, 'utf8').split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields.length < 10 || !inodes.has(fields[9]!)) continue;
    ports.add(Number.parseInt(fields[1]!.split(':')[1]!, 16));
  }
  return ports;
}

function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return ''; // Closed meanwhile.
  }
}
