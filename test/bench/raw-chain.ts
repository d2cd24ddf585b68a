// What bounds a fault: as many messages of its size, one after the other, between as many processes of plain grpc-js that do nothing
// else (chain-peer.ts). No page is looked up, written or mapped there, no guest faults, and nobody decides anything.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Failure } from '../../services/vkctl/failure.ts';
import type { Hop, Member, Next } from './chain-peer.ts';
import { cpuBetween, cpuTimes } from './cpu-time.ts';
import type { FaultResult } from './fault-result.ts';
import { round } from './figure.ts';
import { columns, type ResultTable, type Setting } from './part.ts';
import { type Latency, latencyOf } from './samples.ts';

const PEER = join(import.meta.dirname, 'chain-peer.ts');
const WARM_UP = 6000;
const COUNT = 3000;
const QUICK = { warmUp: 300, count: 300 };
/** About what they have on the wire. */
const WORDS_BYTES = 48;
const PAGE_MESSAGE_BYTES = PAGE_BYTES + 64;

/** Who the messages go through; the last one is the waking of the guest, which is a system call of pmapd's in a fault. */
const CHAINS = {
  'from another node': {
    members: ['guest', 'pmapd', 'cohd', 'owner', 'pmapd', 'guest'],
    bytes: [WORDS_BYTES, WORDS_BYTES, WORDS_BYTES, PAGE_MESSAGE_BYTES, WORDS_BYTES],
  },
  'write upgrade, 1 sharer': {
    members: ['guest', 'pmapd', 'cohd', 'sharer', 'cohd', 'pmapd', 'guest'],
    bytes: Array<number>(6).fill(WORDS_BYTES),
  },
  'write upgrade, 8 sharers': {
    members: [
      ...['guest', 'pmapd', 'cohd'],
      Array.from({ length: 8 }, (_, i) => `sharer${i + 1}`),
      ...['cohd', 'pmapd', 'guest'],
    ],
    bytes: Array<number>(6).fill(WORDS_BYTES),
  },
} satisfies Record<string, { members: readonly (string | string[])[]; bytes: readonly number[] }>;
export type ChainName = keyof typeof CHAINS;
const CHAIN_NAMES = Object.keys(CHAINS) as ChainName[];

export interface ChainResult extends Latency {
  name: ChainName;
  messages: number;
  /** Of all processes, for one round, in us. */
  cpuUs: number;
  /** Of all but the one that begins. */
  servicesUs: number;
}

/** So many rounds, and what the one that begins computes before each. */
export interface Rounds {
  readonly count: number;
  readonly computeUs: number;
}

export async function rawChains(
  setting: Setting,
  wanted: readonly ChainName[] = CHAIN_NAMES,
  rounds?: Rounds,
): Promise<ChainResult[]> {
  const results: ChainResult[] = [];
  for (const name of wanted) {
    setting.progress(`plain grpc-js, ${name}`);
    results.push(await run(setting, name, rounds));
  }
  return results;
}

async function run(
  { folder, signal, quick }: Setting,
  name: ChainName,
  rounds: Rounds | undefined,
): Promise<ChainResult> {
  const { bytes } = CHAINS[name];
  const members = CHAINS[name].members.map((each) => [each].flat());
  const { warmUp, ...inARow } = quick ? QUICK : { warmUp: WARM_UP, count: COUNT };
  const { count, computeUs } = rounds ?? { ...inARow, computeUs: 0 };
  const socketOf = (member: string): string => `unix:${join(folder, `chain-${member}.sock`)}`;
  const hop = (number: number): Hop | null => {
    const to = members[number + 1]?.map(socketOf);
    return to === undefined ? null : { to, number, bytes: bytes[number]! };
  };
  const names = [...new Set(members.flat())];
  const running = names.map((member) => {
    const after: Record<number, Next> = {};
    for (const [i, each] of members.entries())
      if (i > 0 && each.includes(member)) after[i - 1] = { awaited: members[i - 1]!.length, hop: hop(i) };
    const first = member === names[0] ? { first: hop(0)! } : {};
    const about: Member = { address: socketOf(member), after, ...first, computeUs, warmUp, count };
    const child = spawn(process.execPath, [PEER, JSON.stringify(about)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      signal,
      killSignal: 'SIGKILL',
    });
    child.on('error', () => {}); // An abort; its exit is awaited.
    return { child, gone: once(child, 'close'), lines: createInterface(child.stdout!) };
  });
  const said = async ({ lines, gone }: (typeof running)[number]): Promise<string> => {
    const ended = gone.then(() => Promise.reject(new Failure(`a process of the raw chain ended: ${name}`)));
    return ((await Promise.race([once(lines, 'line', { signal }), ended])) as [string])[0];
  };
  try {
    await Promise.all(running.map(said));
    const [guest] = running;
    const { stdin } = guest!.child;
    stdin!.write('\n');
    await said(guest!);
    const pids = new Map(running.map(({ child }, i) => [names[i]!, child.pid!]));
    const before = cpuTimes(pids);
    stdin!.write('\n');
    const samplesNs = JSON.parse(await said(guest!)) as number[];
    const used = cpuBetween(before, cpuTimes(pids));
    const cpuUs = [...used.values()].reduce((sum, { usedUs }) => sum + usedUs, 0) / count;
    const servicesUs = cpuUs - used.get(names[0]!)!.usedUs / count;
    return { name, messages: hopsOf(members), cpuUs, servicesUs, ...latencyOf(samplesNs) };
  } finally {
    for (const { child } of running) child.stdin!.end();
    await Promise.all(running.map(({ gone }) => gone));
    for (const member of names) await rm(socketOf(member).slice('unix:'.length), { force: true });
  }
}

const hopsOf = (members: readonly string[][]): number =>
  members.slice(1).reduce((sum, each, i) => sum + each.length * members[i]!.length, 0);

/** @param echoUs of the same transport */
export function chainTable(
  chains: readonly ChainResult[],
  faults: readonly FaultResult[],
  echoUs: number,
): ResultTable {
  const used = ({ cpuUs }: FaultResult): number => Object.values(cpuUs).reduce((sum, each) => sum + each, 0);
  return {
    title:
      'What bounds them: as many messages between as many processes of plain grpc-js, which do nothing else',
    columns: columns(
      'WAY',
      '>MESSAGES',
      '>p50 us',
      '>ECHOES',
      '>PROCESSOR us',
      '>FAULT: x p50',
      '>x PROCESSOR',
    ),
    rows: chains.map((chain) => {
      const fault = faults.find(({ name }) => name.startsWith(chain.name));
      return [
        chain.name,
        String(chain.messages),
        round(chain.p50Us),
        round(chain.p50Us / echoUs),
        round(chain.cpuUs),
        fault === undefined ? '' : round(fault.guest.p50Us / chain.p50Us),
        fault === undefined ? '' : round(used(fault) / chain.cpuUs),
      ];
    }),
    notes: [
      'Over unix sockets. The last message is in the place of the waking of the guest, and the acknowledgement that a page came is left out.',
    ],
  };
}
