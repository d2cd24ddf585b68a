// Hand-over: for how long virtual kernels wait while another pmapd takes the place of theirs, on a node whose guests compute
// without end. Once with little to hand over, once with much.
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PmapSession } from '@odonata/pmap/pmap-session.ts';
import { useToken } from '@odonata/rpc/identity/own.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { vkernelSockets } from '@odonata/rpc/vkernel-sockets.ts';
import { vmspaceLabel } from '@odonata/userfault/memory-label.ts';
import { Userfault } from '@odonata/userfault/userfault.ts';
import { adminName } from '../../services/vkctl/cluster/certificates.ts';
import type { ClusterRecord } from '../../services/vkctl/cluster/record.ts';
import { Failure } from '../../services/vkctl/failure.ts';
import { vkernelTokenIn } from '../cluster/identities.ts';
import { judge, round, verdictCells } from './figure.ts';
import { startGuest } from './guest-run.ts';
import { columns, type Part, type Setting } from './part.ts';
import { recordOf, replace } from './replaced.ts';
import { percentile } from './samples.ts';

/** A tenth of the default lease. */
const P99_MOST_MS = 300;
const NODE = 'node1';
const SERVICE = `${NODE}/pmapd`;
/** Guests that compute, on however many cores. */
const SPINNERS = 10;
const READY_MS = 30_000;

interface Step {
  name: string;
  /** Shared pages that are made resident, on top of those before. */
  pages: number;
  vmspaces: number;
}

const STEPS: Step[] = [
  { name: 'little', pages: 0, vmspaces: 0 },
  { name: '10,000 vmspaces, 256 MiB', pages: 65_536, vmspaces: 10_000 },
  { name: '10,000 vmspaces, 1 GiB', pages: 262_144 - 65_536, vmspaces: 0 },
];
/** That one process writes. */
const PAGES_MAX = 65_536;
const QUICK_STEPS: Step[] = [{ name: '1,000 vmspaces, 16 MiB', pages: 4_096, vmspaces: 1_000 }];

export const handover: Part = {
  title: 'Hand-over: a pmapd takes the place of another one',
  nodes: () => 1,
  async run(setting) {
    const { quick } = setting;
    const count = quick ? 2 : 50;
    for (let i = 0; i < (quick ? 2 : SPINNERS); i++) await startGuest(setting, NODE, 'misbehave', ['spin']);
    const many = await ManyVmspaces.at(recordOf(setting));
    try {
      const steps = [];
      for (const step of quick ? QUICK_STEPS : STEPS) {
        setting.progress(`makes ${step.name}`);
        if (step.pages > 0) await resident(setting, step);
        await many.add(step.vmspaces);
        const pausesMs: number[] = [];
        while (pausesMs.length < count) {
          setting.progress(`${step.name}: ${pausesMs.length + 1} of ${count}`);
          pausesMs.push(await replace(setting, SERVICE));
        }
        const p99 = judge(`hand-over, ${step.name}, p99`, percentile(pausesMs, 0.99), 'ms', {
          most: P99_MOST_MS,
        });
        steps.push({ name: step.name, pausesMs, p50Ms: percentile(pausesMs, 0.5), p99 });
      }
      const rows = steps.map(({ name, pausesMs, p50Ms, p99 }) => [
        ...[name, String(pausesMs.length), round(p50Ms), round(p99.value)],
        ...[round(Math.max(...pausesMs)), ...verdictCells(p99)],
      ]);
      const heads = columns('HANDED OVER', '>COUNT', '>p50 ms', '>p99 ms', '>MOST ms', 'TARGET', 'VERDICT');
      const notes = [
        'From the word to the virtual kernels until all of them, and the directory, have the next pmapd;',
        `${quick ? 2 : SPINNERS} guests compute all the while. Target: a tenth of the default lease.`,
      ];
      return {
        figures: steps.map(({ p99 }) => p99),
        tables: [{ title: handover.title, columns: heads, rows, notes }],
        measured: { steps: steps.map(({ p99, ...rest }) => ({ ...rest, p99Ms: p99.value })) },
      };
    } finally {
      many.close();
    }
  },
};

async function resident(setting: Setting, { name, pages }: Step): Promise<void> {
  const dataspace = `resident-${name.replace(/[^0-9A-Za-z]+/g, '-')}`;
  // Each within the quota of a process.
  for (let first = 0; first < pages; first += PAGES_MAX) {
    const range = ['--first', first, '--size', pages * 4096];
    const some = Math.min(PAGES_MAX, pages - first);
    const writer = await startGuest(setting, NODE, 'pattern', [dataspace, some, 'write', 1, ...range]);
    await writer.end();
  }
}

async function within(ms: number, ready: Promise<void>): Promise<void> {
  const isReady = await Promise.race([ready.then(() => true), sleep(ms, false, { ref: false })]);
  if (!isReady) throw new Failure(`${SERVICE} does not take the session of the bench within ${ms} ms`);
}

/** A session of its own, with many vmspaces and no processes. */
class ManyVmspaces {
  private readonly userfault = Userfault.create();
  private readonly session: PmapSession;
  private lost = '';
  /** Of node1, far from those of its processes. */
  private pid = 150_000n;

  static async at({ plan }: ClusterRecord): Promise<ManyVmspaces> {
    const { pmap, userfault } = vkernelSockets(join(plan.runtimeDir, NODE));
    const address = `unix:${pmap}`;
    const about = { node: NODE, name: 'bench', user: adminName(), sockets: [address] };
    useToken(await vkernelTokenIn(plan, about));
    return new ManyVmspaces(address, userfault);
  }

  private constructor(address: string, userfaultSocket: string) {
    this.session = new PmapSession({
      ...{ address, userfaultSocket },
      name: `${adminName()}/bench`,
      userfault: this.userfault.fd,
      log: createLog('bench', 'error'),
      onEvent: () => {},
      onMoving: () => {},
      onLost: () => {
        this.lost = 'a session was lost by a hand-over';
      },
    });
  }

  async add(vmspaces: number): Promise<void> {
    await within(READY_MS, this.session.whenReady());
    for (let left = vmspaces; left > 0; left -= 500) {
      const some = Array.from({ length: Math.min(500, left) }, async () => {
        const value = { pid: this.pid++, sizeBytes: 1n << 20n };
        const made = await this.session.ask({ case: 'vmspaceCreate', value });
        if (made.case === 'vmspaceCreated')
          closeSync(this.session.takeDescriptor(vmspaceLabel(made.value.vmspace)));
      });
      await Promise.all(some);
    }
    if (this.lost !== '') throw new Failure(this.lost);
  }

  close(): void {
    useToken('');
    this.session.close();
    this.userfault.close();
  }
}
