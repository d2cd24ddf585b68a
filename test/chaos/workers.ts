// Programs that work on shared objects, started again as they end; when shared memory was lost, on new objects.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@odonata/client/connection.ts';
import { ProgramRun } from '@odonata/client/program-run.ts';
import { explain } from '../../services/vkctl/failure.ts';
import { type ProgramFile, readProgram } from '../../services/vkctl/program-file.ts';
import { buildGuest } from '../guests/build.ts';

export const OBJECTS = 12;
const OPS = 400;
const RETRY_MS = 200;

export interface WorkersOptions {
  to: Connection;
  nodes: string[];
  /** How many a node. */
  perNode: number;
  folder: string;
  seed: number;
}

export class Workers {
  /** How programs ended, and how often. */
  readonly ends = new Map<string, number>();
  private readonly o: WorkersOptions;
  private readonly program: ProgramFile;
  private generation = 0;
  private started = 0;

  private constructor(options: WorkersOptions, program: ProgramFile) {
    this.o = options;
    this.program = program;
  }

  static async create(options: WorkersOptions): Promise<Workers> {
    return new Workers(options, readProgram(await buildGuest('history')));
  }

  /** Works until told to stop; the programs that run then are ended. */
  async run(signal: AbortSignal): Promise<void> {
    const places = this.o.nodes.flatMap((node) => Array.from({ length: this.o.perNode }, () => node));
    await Promise.all(places.map((node) => this.keepWorking(node, signal)));
  }

  private async keepWorking(node: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { generation } = this;
      const end = await this.once(node, OPS, signal);
      this.ends.set(end, (this.ends.get(end) ?? 0) + 1);
      // Of a page that is lost nobody gets anything but an error for ever.
      if (/lost/.test(end) && generation === this.generation) this.generation++;
      if (end !== 'done') await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Runs a program to its end. @returns 'done', or in a few words how it ended */
  async once(node: string, ops: number, signal: AbortSignal): Promise<string> {
    const worker = ++this.started;
    const { folder, seed, to } = this.o;
    const dataspace = `chaos-${this.generation}`;
    const args = [dataspace, OBJECTS, ops, seed + worker, worker, `/history/${dataspace}.${worker}`];
    const spec = {
      name: 'history',
      args: args.map(String),
      dirs: [{ hostPath: folder, guestPath: '/history', readOnly: false }],
    };
    let said = '';
    const run = new ProgramRun(to, node, spec, this.program.module, {
      signal,
      onOutput: ({ data }) => {
        said += Buffer.from(data).toString();
      },
    });
    try {
      const { code, reason } = await run.exited();
      return code === 0 ? 'done' : reason || said.trim() || `exit code ${code}`;
    } catch (error) {
      return signal.aborted ? 'ended by us' : `no line: ${explain(error)}`;
    }
  }

  /** Things must work again: every node does some operations on fresh objects, within a time. */
  async prove(withinMs: number): Promise<string[]> {
    this.generation++;
    const signal = AbortSignal.timeout(withinMs);
    const prove = async (node: string): Promise<string | undefined> => {
      for (let end = ''; ; ) {
        if (signal.aborted) return `${node}: ${end || 'it hangs'}`;
        const { generation } = this;
        end = await this.once(node, 50, signal);
        if (end === 'done') return undefined;
        // What a node made while it was being declared dead is lost too.
        if (/lost/.test(end) && generation === this.generation) this.generation++;
        await sleep(RETRY_MS);
      }
    };
    const troubles = await Promise.all(this.o.nodes.map(prove));
    return troubles.filter((trouble) => trouble !== undefined);
  }
}

export const historyFolder = (folder: string): string => join(folder, 'history');
