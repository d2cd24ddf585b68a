// The cluster of these tests: three nodes, a folder with the programs, one to write to.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestCluster } from '../cluster/cluster.ts';
import type { Program } from '../cluster/program.ts';
import { PosixLibrary } from '../posix/library.ts';

export interface Shown {
  pid: number;
  parent: number;
  group: number;
  state: string;
  exit?: { code: number; signal: string };
}

export class Machine {
  readonly programs = mkdtempSync(join(tmpdir(), 'odonata-programs-'));
  readonly work = mkdtempSync(join(tmpdir(), 'odonata-work-'));
  readonly dirs = [
    { hostPath: this.programs, guestPath: '/programs', readOnly: true },
    { hostPath: this.work, guestPath: '/work', readOnly: false },
  ];
  #cluster: TestCluster | undefined;

  get cluster(): TestCluster {
    if (this.#cluster === undefined) throw new Error('the cluster is not up');
    return this.#cluster;
  }

  async up(): Promise<void> {
    const library = await PosixLibrary.build();
    const allowDirs = [this.programs, this.work];
    this.#cluster = await TestCluster.up({ nodes: 3, leaseMs: 8_000, allowDirs });
    for (const name of ['family', 'places']) {
      const source = join(import.meta.dirname, `${name}.c`);
      const module = await library.link(name, [source], ['-Wall', '-Wextra', '-Werror']);
      writeFileSync(join(this.programs, `${name}.wasm`), module);
      this.#cluster.addModule(name, module);
    }
    await library.close();
  }

  async down(): Promise<void> {
    await this.#cluster?.down();
    for (const folder of [this.programs, this.work]) rmSync(folder, { recursive: true });
  }

  start(node: string, ...args: string[]): Promise<Program> {
    return this.cluster.start(node, 'family', args, { dirs: this.dirs });
  }

  output(node: string, ...args: string[]): Promise<string> {
    return this.cluster.output(node, 'family', args, { dirs: this.dirs });
  }

  async shown(pid: number): Promise<Shown | undefined> {
    const all: Shown[] = JSON.parse((await this.cluster.vkctl(['ps', '-a', '--json'])).stdout);
    return all.find((process) => Number(process.pid) === pid);
  }
}
