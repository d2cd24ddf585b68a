// Prometheus and promtool, as Debian packages them: of this machine, or unpacked from the package, without an installation of
// a daemon that nobody asked for.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';
import { until } from './service-process.ts';

const ROOT = join(import.meta.dirname, '../..');
const CACHE = join(ROOT, 'node_modules/.cache/prometheus');

/** The folder with both programs; undefined where there is no such package. */
export function prometheusPrograms(): string | undefined {
  const installed = findTool('promtool');
  if (installed !== undefined && findTool('prometheus') !== undefined) return join(installed, '..');
  const programs = join(CACHE, 'usr/bin');
  if (existsSync(programs)) return programs;
  const aside = mkdtempSync(join(tmpdir(), 'odonata-prometheus-'));
  try {
    const quiet = { cwd: aside, stdio: 'ignore', timeout: 120_000 } as const;
    execFileSync('apt-get', ['download', 'prometheus'], quiet);
    const [file] = readdirSync(aside).filter((name) => name.endsWith('.deb'));
    mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true });
    const unpacked = mkdtempSync(`${CACHE}-`);
    execFileSync('dpkg-deb', ['-x', file!, unpacked], quiet);
    try {
      renameSync(unpacked, CACHE);
    } catch {
      rmSync(unpacked, { recursive: true, force: true }); // Somebody else was first.
    }
    return existsSync(programs) ? programs : undefined;
  } catch {
    return undefined;
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

export type Answer = readonly { metric: Record<string, string>; value: [number, string] }[];

/** A Prometheus that reads these addresses every second. */
export class Prometheus {
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #address: string;

  private constructor(folder: string, child: ChildProcess, address: string) {
    this.#folder = folder;
    this.#child = child;
    this.#address = address;
  }

  /** Resolves when it has read each of them often enough for rates. */
  static async up(programs: string, addresses: readonly string[], rules: string): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'odonata-prometheus-'));
    const targets = addresses.map((address) => ({ targets: [address] }));
    const config = {
      global: { scrape_interval: '1s' },
      rule_files: [rules],
      scrape_configs: [{ job_name: 'odonata', static_configs: targets }],
    };
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
    const [port] = (await pickPorts(1)) as [number];
    const address = `127.0.0.1:${port}`;
    const args = [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
    ];
    const child = spawn(join(programs, 'prometheus'), args, { stdio: 'ignore' });
    const prometheus = new Prometheus(folder, child, address);
    try {
      const often = 'sum_over_time(up[1m]) >= 3';
      const read = async () =>
        (await prometheus.query(often).catch(() => [])).length === addresses.length || undefined;
      await until('Prometheus has read every service', 60_000, read);
    } catch (error) {
      await prometheus.down();
      throw error;
    }
    return prometheus;
  }

  /** @throws Error with Prometheus's words */
  async query(expression: string): Promise<Answer> {
    const response = await fetch(
      `http://${this.#address}/api/v1/query?${new URLSearchParams({ query: expression })}`,
    );
    const { status, error, data } = (await response.json()) as {
      status: string;
      error?: string;
      data: { result: Answer };
    };
    if (status !== 'success') throw new Error(`${expression}: ${error}`);
    return data.result;
  }

  async down(): Promise<void> {
    if (this.#child.exitCode === null) {
      const ended = new Promise((resolve) => this.#child.once('close', resolve));
      this.#child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
