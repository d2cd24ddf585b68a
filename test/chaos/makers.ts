// Dataspaces that are made while things break and after: what one node makes, the others read whole, or are told that it is
// lost; once nothing is broken any more, it is whole.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@odonata/client/connection.ts';
import { ProgramRun } from '@odonata/client/program-run.ts';
import { explain } from '../../services/vkctl/failure.ts';
import { type ProgramFile, readProgram } from '../../services/vkctl/program-file.ts';
import { buildGuest } from '../guests/build.ts';

const PAGES = 24;
const RETRY_MS = 200;
const WHOLE = 'whole';

export class Makers {
  /** Of dataspaces: how it went, and how often. */
  readonly ends = new Map<string, number>();
  /** Dataspaces of which a node read something else than what was written. */
  readonly wrong: string[] = [];
  private readonly to: Connection;
  private readonly nodes: readonly string[];
  private readonly program: ProgramFile;
  private made = 0;

  private constructor(to: Connection, nodes: readonly string[], program: ProgramFile) {
    this.to = to;
    this.nodes = nodes;
    this.program = program;
  }

  static async create(to: Connection, nodes: readonly string[]): Promise<Makers> {
    return new Makers(to, nodes, readProgram(await buildGuest('pattern')));
  }

  /** One dataspace after another, by each node in turn, until told to stop. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const maker = this.nodes[this.made % this.nodes.length]!;
      const reader = this.nodes[(this.made + 1) % this.nodes.length]!;
      const end = await this.make(maker, [reader], signal);
      if (!signal.aborted) this.count(end);
      await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** What each node makes now, every node must read whole, within a time. @returns those that do not */
  async prove(withinMs: number): Promise<string[]> {
    const signal = AbortSignal.timeout(withinMs);
    const prove = async (node: string): Promise<string | undefined> => {
      for (;;) {
        const end = await this.make(node, this.nodes, signal);
        this.count(end);
        if (end === WHOLE) return undefined;
        if (signal.aborted) return `what ${node} makes is not whole to all: ${end}`;
        await sleep(RETRY_MS);
      }
    };
    const troubles = await Promise.all(this.nodes.map(prove));
    return troubles.filter((trouble) => trouble !== undefined);
  }

  private count(end: string): void {
    this.ends.set(end, (this.ends.get(end) ?? 0) + 1);
  }

  private async make(maker: string, readers: readonly string[], signal: AbortSignal): Promise<string> {
    const name = `made-${++this.made}`;
    const wrote = await this.pattern(maker, name, 'write', signal);
    if (wrote !== WHOLE) return `making: ${wrote}`;
    for (const reader of readers) {
      const read = await this.pattern(reader, name, 'check', signal);
      if (read !== WHOLE) return `reading: ${read}`;
    }
    return WHOLE;
  }

  private async pattern(
    node: string,
    name: string,
    mode: 'write' | 'check',
    signal: AbortSignal,
  ): Promise<string> {
    let said = '';
    const spec = { name: 'pattern', args: [name, String(PAGES), mode, '7'] };
    const run = new ProgramRun(this.to, node, spec, this.program.module, {
      signal,
      onOutput: ({ data }) => {
        said += Buffer.from(data).toString();
      },
    });
    try {
      const { code, reason } = await run.exited();
      if (code === 0) return WHOLE;
      if (/"wrong_pages":[1-9]/.test(said)) this.wrong.push(`dataspace ${name} at ${node}: ${said.trim()}`);
      return reason || said.trim() || `exit code ${code}`;
    } catch (error) {
      return signal.aborted ? 'ended by us' : `no line: ${explain(error)}`;
    }
  }
}
