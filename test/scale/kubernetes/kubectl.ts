// kubectl, as a person would call it: the cluster is KUBECONFIG's.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Failure } from '../../../services/vkctl/failure.ts';
import { findTool } from '../../../services/vkctl/supervisor/tool.ts';

/** Of k8s/base: where pmapd and vkerneld are, and where all else is. */
export const NODES = 'odonata-nodes';
const SERVICES = 'odonata';
const OUTPUT_BYTES = 16 * 2 ** 20;
const FORWARD_MS = 30_000;
const run = promisify(execFile);

/** A port of this machine that leads to one in the cluster. */
export interface Forward {
  address: string;
  close(): Promise<void>;
}

export class Kubectl {
  private readonly signal: AbortSignal;
  private readonly command: string;
  private readonly namespace: string;

  /** @throws Failure where there is no cluster to ask */
  constructor(signal: AbortSignal, namespace = SERVICES) {
    this.signal = signal;
    this.namespace = namespace;
    const command = findTool('kubectl');
    if (!process.env.KUBECONFIG) throw new Failure('--kubernetes: KUBECONFIG is not set', { fix: 'Set it.' });
    if (command === undefined) throw new Failure('--kubernetes: kubectl is not installed');
    this.command = command;
  }

  /** @param last true for what must be done also when the run is interrupted */
  async run(args: readonly string[], { last = false } = {}): Promise<string> {
    const signal = last ? undefined : this.signal;
    try {
      const { stdout } = await run(this.command, ['-n', this.namespace, ...args], {
        maxBuffer: OUTPUT_BYTES,
        signal,
      });
      return stdout;
    } catch (cause) {
      const { stderr = '', message } = cause as Error & { stderr?: string };
      throw new Failure(`kubectl ${args.join(' ')}: ${stderr.trim().split('\n').at(-1) || message}`, {
        cause,
      });
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: what Kubernetes answers; whoever asks knows its shape
  async json(...args: string[]): Promise<any> {
    return JSON.parse(await this.run([...args, '-o', 'json']));
  }

  /** @param target as pod/NAME or service/NAME */
  async forward(target: string, port: number): Promise<Forward> {
    const args = ['-n', this.namespace, 'port-forward', target, `:${port}`];
    const child = spawn(this.command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = once(child, 'close');
    ended.catch(() => {});
    let complaint = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      complaint = text.trim().split('\n').at(-1)!;
    });
    const close = async (): Promise<void> => {
      child.kill('SIGTERM');
      await ended.catch(() => {});
    };
    try {
      return { address: await this.bound(child), close };
    } catch (cause) {
      await close();
      if (this.signal.aborted) throw this.signal.reason;
      throw new Failure(`kubectl port-forward ${target} :${port}: ${complaint || 'it ended'}`, { cause });
    }
  }

  /** `Forwarding from 127.0.0.1:43211 -> 7421` */
  private async bound(child: ChildProcess): Promise<string> {
    const signal = AbortSignal.any([this.signal, AbortSignal.timeout(FORWARD_MS)]);
    const lines = createInterface({ input: child.stdout!, signal });
    for await (const line of lines) {
      const [, address] = /^Forwarding from (127\.0\.0\.1:\d+) /.exec(line) ?? [];
      if (address === undefined) continue;
      child.stdout!.resume(); // It tells of each connection; nobody reads that.
      return address;
    }
    throw new Failure('no port was forwarded');
  }
}
