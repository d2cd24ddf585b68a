// The steps of the demo, in order, with what each shows while it runs.
import { join } from 'node:path';
import type { GetNodeStatsResponse } from '@odonata/proto/pmap/v1/pmap';
import { Listr, type ListrTask } from 'listr2';
import type { ClusterPaths } from '../../services/vkctl/cluster/paths.ts';
import type { ClusterRecord } from '../../services/vkctl/cluster/record.ts';
import { startCluster } from '../../services/vkctl/cluster/start.ts';
import { connectHere } from '../../services/vkctl/connection.ts';
import { Failure } from '../../services/vkctl/failure.ts';
import { formatSize } from '../../services/vkctl/size.ts';
import { buildGuest } from '../guests/build.ts';
import { type CommandResult, runNode, vkctl } from './command.ts';
import { type Corpus, collectCorpus, cutText } from './corpus.ts';
import { type Spent, spentBetween, spentBy } from './cost.ts';
import {
  type Comparison,
  compareTables,
  parseWorkerLine,
  type WorkerProgress,
  type WorkerResult,
} from './wordcount.ts';

const ROOT = join(import.meta.dirname, '../..');
const NODES = ['node1', 'node2', 'node3'];
/** A third of it on each node. */
const TEXTS = ['text1', 'text2', 'text3'];
const TEXT = TEXTS.join();
const TABLE = 'words';
/** Between two looks of progress where there is no terminal: a line each. */
const PLAIN_STEP = 0.25;

export interface NodeResult {
  node: string;
  elapsedMs: number;
  worker: WorkerResult;
  stats: GetNodeStatsResponse;
}

/** What the steps find out, one after the other. */
export interface JobState {
  record: ClusterRecord;
  program: string;
  corpus: Corpus;
  nodes: NodeResult[];
  /** From the start of the first process to the end of the last. */
  countMs: number;
  /** By the cluster, for the count. */
  spent: Spent;
  top: string;
  alone: CommandResult;
  aloneCpuMs: number;
  comparison: Comparison;
}

export interface JobOptions {
  paths: ClusterPaths;
  signal: AbortSignal;
  state: Partial<JobState>;
}

type Step = ListrTask<unknown>;
type Shown = { output: string; title: string };

export function createJob({ paths, signal, state }: JobOptions): Listr {
  const { cluster } = paths;
  // In the cluster's own folder: it goes with the cluster, however this ends.
  const file = join(paths.stateDir, 'text');
  const run = (args: string[], onLine?: (line: string) => void): Promise<CommandResult> =>
    vkctl(args, { signal, onLine, env: { ODONATA_CLUSTER: cluster } });

  const steps: Step[] = [
    {
      title: `Start a cluster of ${NODES.length} nodes`,
      task: async (_, task) => {
        const show = sparing(task);
        const record = await startCluster({
          cluster,
          nodes: NODES.length,
          port: 0,
          owner: process.pid,
          signal,
          onProgress: ({ ready, total, waitingFor }) => {
            const rest = waitingFor.length > 0 ? `, waiting for ${waitingFor.slice(0, 4).join(', ')}` : '';
            show(ready / total, `${ready} of ${total} services ready${rest}`);
          },
        });
        state.record = record;
        task.title = `A cluster of ${NODES.length} nodes is up (router at ${record.syslink})`;
      },
    },
    {
      title: 'Compile the program: C to WebAssembly',
      task: async (_, task) => {
        state.program = await buildGuest('wordcount');
        task.title = `The program: test/guests/wordcount, C compiled by clang for wasm32-wasi`;
      },
    },
    {
      title: 'Start a virtual kernel on each node, by a program that says hello',
      task: async (_, task) => {
        const hello = await buildGuest('hello');
        const began = await Promise.all(NODES.map((node) => run(['run', '--node', node, hello])));
        const elapsedMs = Math.max(...began.map((each) => each.elapsedMs));
        task.title = `A virtual kernel runs on each node: vkctl run --node node1 hello.wasm ... (${seconds(elapsedMs)})`;
      },
    },
    {
      title: 'Collect the text of node_modules',
      task: async (_, task) => {
        const show = sparing(task, Number.POSITIVE_INFINITY);
        const onProgress = ({ files, bytes }: Omit<Corpus, 'digest'>): void =>
          show(0, `${files} files, ${formatSize(bytes)}`);
        const corpus = await collectCorpus(join(ROOT, 'node_modules'), file, onProgress, signal);
        state.corpus = corpus;
        task.title = `The text: ${corpus.files} files of node_modules, ${formatSize(corpus.bytes)}`;
      },
    },
    {
      title: 'Load it into shared memory',
      task: async (_, task) => {
        const show = sparing(task);
        const total = state.corpus!.bytes;
        const parts = await cutText(file, NODES.length);
        let loaded = 0;
        let elapsedMs = 0;
        for (const [i, part] of parts.entries()) {
          const load = ['ds', 'load', '--progress', '--node', NODES[i]!, TEXTS[i]!, part];
          let last = 0;
          const done = await run(load, (line) => {
            last = Number(/^loaded (\d+)$/.exec(line)?.[1] ?? last);
            const bytes = loaded + last;
            show(bytes / total, `${bar(bytes / total)} ${formatSize(bytes)} of ${formatSize(total)}`);
          });
          loaded += last;
          elapsedMs += done.elapsedMs;
        }
        spentBefore = await spentBy(state.record!);
        task.title = `In shared memory, a third on each node: vkctl ds load --node node1 ${TEXTS[0]} FILE, and two more (${seconds(elapsedMs)})`;
      },
    },
    {
      title: 'Count words: three processes, three virtual kernels, three nodes, one memory',
      task: (_, task) => {
        const startMs = performance.now();
        state.nodes = [];
        let running = NODES.length;
        const subtasks = NODES.map((node, worker): Step => {
          const command = `vkctl run --node ${node} wordcount.wasm ${TEXT} ${TABLE} ${worker} ${NODES.length}`;
          return {
            title: command,
            task: async (_, subtask) => {
              const result = await countOn(node, worker, subtask);
              running -= 1;
              if (running === 0) state.countMs = performance.now() - startMs;
              subtask.title = `${command} (${seconds(result.elapsedMs)})`;
            },
          };
        });
        return task.newListr(subtasks, { concurrent: true });
      },
    },
    {
      title: 'Read the statistics and the whole table',
      task: async (_, task) => {
        state.spent = spentBetween(spentBefore!, await spentBy(state.record!));
        await readStatistics();
        dump = (await run(['run', '--node', 'node1', state.program!, '--dump', TABLE])).stdout;
        task.title = `The whole table: vkctl run wordcount.wasm --dump ${TABLE} (${formatSize(dump.length)})`;
      },
    },
    {
      title: 'Count again, alone under node:wasi, on the same bytes',
      task: async (_, task) => {
        const alone = join(ROOT, 'test/guests/wordcount/run-alone.ts');
        const onLine = (line: string): void => {
          state.aloneCpuMs = Number(/^cpu_ms=(\d+)$/.exec(line)?.[1] ?? state.aloneCpuMs);
        };
        const args = [alone, '--cpu', state.program!, file, '--dump'];
        state.alone = await runNode(args, { signal, onLine });
        task.title = `The same program alone under node:wasi (${seconds(state.alone.elapsedMs)})`;
      },
    },
    {
      title: 'Compare the two tables',
      task: async (_, task) => {
        state.comparison = compareTables(dump, state.alone!.stdout);
        const { words, differences } = state.comparison;
        if (differences.length > 0) throw new Failure(`the tables differ: ${differences.join('; ')}`);
        task.title = `The two tables are equal: ${words.toLocaleString('en')} words, each with the same count`;
      },
    },
  ];

  let dump: Buffer = Buffer.alloc(0);
  let spentBefore: Spent | undefined;

  async function countOn(node: string, worker: number, task: Shown): Promise<{ elapsedMs: number }> {
    const show = sparing(task);
    let done: WorkerResult | undefined;
    const onLine = (line: string): void => {
      const said = parseWorkerLine(line);
      if (said.kind === 'progress')
        show(said.progress.done / said.progress.total, progressLine(said.progress));
      if (said.kind === 'done') done = said.result;
    };
    const args = ['--progress', TEXT, TABLE, String(worker), String(NODES.length)];
    const { stdout, elapsedMs } = await run(['run', '--node', node, state.program!, ...args], onLine);
    if (!done) throw new Failure(`${node}: wordcount ended without its result line`);
    if (stdout.length > 0) state.top = stdout.toString('utf8');
    state.nodes!.push({ node, elapsedMs, worker: done, stats: {} as GetNodeStatsResponse });
    return { elapsedMs };
  }

  async function readStatistics(): Promise<void> {
    const to = await connectHere(state.record!);
    try {
      for (const result of state.nodes!) result.stats = await to.pmapd(result.node).getNodeStats({});
    } finally {
      to.close();
    }
    state.nodes!.sort((a, b) => a.node.localeCompare(b.node));
  }

  return new Listr(steps, {
    registerSignalListeners: false,
    fallbackRenderer: 'verbose',
    rendererOptions: { collapseSubtasks: false, showErrorMessage: false, collapseErrors: false },
  });
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

function progressLine({ phase, done, total }: WorkerProgress): string {
  const what = phase === 'count' ? `chunk ${done} of ${total}` : `words of process ${done} of ${total}`;
  return `${bar(done / total)} ${phase}: ${what}`;
}

function bar(share: number): string {
  const width = 24;
  const filled = Math.round(Math.min(share, 1) * width);
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}

/** Shows output on a terminal ten times a second; elsewhere, where each is a line, only every `step` of progress. */
function sparing(task: Shown, step = PLAIN_STEP): (progress: number, text: string) => void {
  let next = step;
  let shownMs = 0;
  return (progress, text) => {
    if (process.stdout.isTTY) {
      if (performance.now() - shownMs < 100) return;
      shownMs = performance.now();
    } else {
      if (progress < next && progress < 1) return;
      next = progress + step;
    }
    task.output = text;
  };
}
