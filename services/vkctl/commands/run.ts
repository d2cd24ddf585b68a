import { posix, resolve } from 'node:path';
import { isatty } from 'node:tty';
import { clientReason } from '@odonata/client/client-error.ts';
import type { Cluster } from '@odonata/client/cluster.ts';
import type { Place } from '@odonata/client/placement.ts';
import type { ModuleByDigest, ProgramRun, ProgramSpec } from '@odonata/client/program-run.ts';
import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { type Command, Option } from 'commander';
import { endOfCluster } from '../cluster/end-of-cluster.ts';
import { clusterPaths } from '../cluster/paths.ts';
import { readRecord } from '../cluster/record.ts';
import { elsewhere, withCluster } from '../connection.ts';
import { EXIT, explainWithFix, Failure, hasCode, oneLine } from '../failure.ts';
import { printJson } from '../json.ts';
import { print, printError, sayAside } from '../output.ts';
import { readProgram } from '../program-file.ts';
import { RawWords, rawVariable, type Word } from '../raw-words.ts';
import { parseSize } from '../size.ts';
import { tracedCommand } from '../traced-command.ts';
import { atTerminal } from './at-terminal.ts';
import { tellEnd } from './how-it-ended.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  collect,
  examples,
  jsonOption,
  quietOption,
} from './options.ts';
import { DETACH_KEYS, keysOf, OwnTerminal } from './own-terminal.ts';
import { writeTo } from './stdio.ts';

export interface RunOptions extends ClusterOption {
  interactive?: boolean;
  tty?: boolean;
  detachKeys?: string;
  /** The name of a snapshot, in the place of a program. */
  from?: string;
  /** With what this process has: see "vkctl exec". */
  beside?: bigint;
  /** Its virtual kernel is there already. */
  existing?: boolean;
  detach?: boolean;
  node?: string;
  spread?: boolean;
  near?: string;
  apartFrom?: string[];
  vkernel?: string;
  dir?: string[];
  home?: string;
  listen?: string[];
  listenOn?: string[];
  forEveryone?: boolean;
  connect?: string[];
  env?: string[];
  memory?: string;
  bare?: boolean;
  /** -n: undefined unless given. */
  input?: boolean;
  json?: boolean;
  quiet?: boolean;
}

export function addRun(program: Command): void {
  const command = program
    .command('run')
    .summary('run a WASI program')
    .usage('[options] <prog.wasm> [args...]\n       vkctl run [options] --from <snapshot> [args...]')
    .description(
      'Runs a WASI program in a virtual kernel, as if it ran here: its standard streams are ours, ' +
        'Ctrl-C is its SIGINT (twice: SIGKILL), and its exit code is our exit code. At a terminal it knows so; ' +
        'arguments and variables reach it byte for byte.',
    )
    .argument('[program]', 'a WASI preview 1 module')
    .argument('[args...]', 'its arguments')
    .option(
      '--from <snapshot>',
      'no file, but a program as it was when "vkctl snapshot" was said of it: it begins at its odonata_resume',
    )
    .option('-i, --interactive', 'its standard input is ours (as without it; with -t as others have it: -it)')
    .option(
      '-t, --tty',
      'a terminal of its own, which is ours: keys, size, job control; Ctrl-P Ctrl-Q leaves it, and "vkctl attach" comes back',
    )
    .option('--detach-keys <keys>', 'with -t: other keys that leave it, as ctrl-a,d', DETACH_KEYS)
    .option('-d, --detach', 'print its pid and return; see "vkctl logs"')
    .option(
      '-n, --no-input',
      'its standard input is empty, and ours is left alone: for loops that read it themselves',
    )
    .option('--node <name>', 'on this node; else on the one with the fewest processes for its cores')
    .addOption(
      new Option('--spread', 'on the node with the fewest processes of its virtual kernel').conflicts('node'),
    )
    .addOption(
      new Option('--near <dataspace>', 'on the node that has the most of its pages').conflicts('node'),
    )
    .addOption(
      new Option('--apart-from <pid|node>', 'not where this process runs, or not on this node (repeatable)')
        .argParser(collect)
        .conflicts('node'),
    )
    .option('--vkernel <name>', 'in this virtual kernel (NAME or NODE/NAME); made when it does not run')
    .option(
      '--dir <[node=]host:guest[:ro]>',
      'grant a folder of the host, or of the machine of another node (repeatable; see "vkctl allow")',
      collect,
    )
    .option(
      '--listen <place>',
      'hand it a socket that listens at PORT of 127.0.0.1, or ADDRESS:PORT, on its node: descriptor 3 and on (repeatable; see "up --allow-listen")',
      collect,
    )
    .option(
      '--listen-on <name>',
      'hand it what programs of any node connect to by this name, NAME of its user or :NAME of the cluster: descriptors after those of --listen (repeatable; docs/syslink.md)',
      collect,
    )
    .option('--for-everyone', 'with --listen-on: for programs of all people, where theirs may use the name')
    .option(
      '--connect <place>',
      'let it connect to HOST:PORT, or PORT of 127.0.0.1 (repeatable; see "up --allow-connect")',
      collect,
    )
    .option('-e, --env <name=value>', 'set a variable; NAME alone: as it is here (repeatable)', collect)
    .option('--memory <size>', 'memory that it may have, private and shared pages that it brings, as 256M')
    .option('--home <node>', 'with the home that its user has on this node; else on its own')
    .option('--bare', 'no /dev, /tmp, /shared, /proc and no home: the folders of --dir alone')
    .addOption(clusterOption())
    .addOption(jsonOption('with -d: print its pid, node and virtual kernel as JSON'))
    .addOption(quietOption('do not say how it ended'))
    .passThroughOptions()
    .action(run);
  examples(command, [
    ['vkctl run hello.wasm', 'output here, exit code here'],
    ['vkctl run -it shell.wasm', 'at a terminal: keys, job control, its size'],
    ['vkctl run --dir .:/work:ro -e LANG wc.wasm /work/a.txt', 'a folder, read-only, and a variable'],
    ['vkctl run --dir .:. wc.wasm a.txt', 'a folder, for relative names'],
    ['vkctl run --dir node2=/data:/data:ro wc.wasm /data/a', 'a folder of node2, wherever it runs'],
    ['vkctl run -d --node node2 server.wasm', 'in the background on node 2'],
    [
      'vkctl run -d --near table --apart-from 100001 serve.wasm',
      'beside the pages of a dataspace, and not where 100001 runs',
    ],
    ['while read a; do vkctl run -n prog.wasm $a; done < list', 'the loop keeps its input'],
    ['vkctl run --listen 8080 server.wasm', 'after: vkctl up --allow-listen 8080'],
    ['vkctl run -d --listen-on web server.wasm', 'programs of yours connect to it by the name web'],
    ['vkctl run -d --json server.wasm | jq .pid', 'for a program'],
    ['vkctl run --from warm a b', 'as a snapshot has it: vkctl snapshot PID warm'],
    ['cat in | vkctl run --memory 64M sort.wasm > out', 'as a filter'],
  ]);
}

/** Of each node, unless another one is named. */
const DEFAULT_VKERNEL = 'default';
/** NAME, or NODE/NAME. */
const VKERNEL = /^([^/]+\/)?[a-z0-9][a-z0-9-]{0,31}$/;

export async function run(named: string | undefined, more: string[], options: RunOptions): Promise<void> {
  const { from } = options;
  if (named === undefined && from === undefined)
    throw new Failure('run: which program is missing', {
      fix: 'Give a program, or --from SNAPSHOT.',
      exitCode: EXIT.usage,
    });
  const args = from === undefined || named === undefined ? more : [named, ...more];
  const path = from === undefined ? named! : `--from ${from}`;
  if (options.vkernel !== undefined && !VKERNEL.test(options.vkernel))
    throw new Failure(`--vkernel: "${options.vkernel}" is no name of a virtual kernel`, {
      fix: 'Use NAME or NODE/NAME, a NAME of 1 to 32 of a-z, 0-9 and -.',
      exitCode: EXIT.usage,
    });
  if (options.json && !options.detach)
    throw new Failure('run: standard output is the program’s, and has no room for JSON', {
      fix: 'Give -d, or leave out --json.',
      exitCode: EXIT.usage,
    });
  if (options.tty && options.input === false)
    throw new Failure('run: -t takes what is typed, and -n takes nothing', {
      fix: 'Leave one of them out.',
      exitCode: EXIT.usage,
    });
  if (options.forEveryone && options.listenOn === undefined)
    throw new Failure('run: --for-everyone says for whom the names of --listen-on are', {
      fix: 'Give --listen-on NAME, or leave it out.',
      exitCode: EXIT.usage,
    });
  const keys = keysOf(options.detachKeys ?? DETACH_KEYS);
  const isHere = elsewhere(options.cluster) === undefined;
  const words = new RawWords();
  const given = {
    ...programArguments(words.last(args)),
    ...programEnvironment((options.env ?? []).map((text) => variable(text, words))),
  };
  words.expectNoMore();
  const file = from === undefined ? readProgram(path) : undefined;
  const spec: ProgramSpec = {
    name: file?.name ?? from!,
    ...given,
    ...(options.tty && { terminalSize: new OwnTerminal(keys).size }),
    beside: options.beside ?? 0n,
    terminalStreams: options.detach ? undefined : terminalStreams(options.input ?? true),
    dirs: grants(options.dir ?? []),
    listen: options.listen ?? [],
    listenOn: options.listenOn ?? [],
    forEveryone: options.forEveryone ?? false,
    connect: options.connect ?? [],
    memoryBytes: BigInt(options.memory ? parseSize(options.memory, '--memory') : 0),
    detach: options.detach ?? false,
    bare: options.bare ?? false,
    homeNode: options.home ?? '',
  };
  try {
    const name = `vkctl run ${spec.name}`;
    const here = isHere ? clusterOf(options) : undefined;
    const runIt = () =>
      withCluster(options, async (to) => {
        const { beside } = options;
        const module = file?.module ?? (await opened(to, from!, spec));
        const place =
          beside === undefined
            ? await to.programs.place({ ...options, memoryBytes: spec.memoryBytes })
            : { node: await to.programs.nodeOf(beside), vkernel: '' };
        if (options.tty && !options.detach)
          return await atTerminal(spec.name ?? path, keys, (io, size) =>
            to.programs.begin(place, { ...spec, terminalSize: size }, module, io),
          );
        return await (options.detach
          ? runDetached(to, place, spec, module, options)
          : runHere(to, place, spec, module, { isHere, input: options.input ?? true }));
      });
    process.exitCode = await tracedCommand(name, here, runIt);
  } catch (error) {
    throw runFailure(path, error);
  }
}

/** The module of a snapshot; the program is called what it was. */
async function opened({ snapshots }: Cluster, from: string, spec: ProgramSpec): Promise<ModuleByDigest> {
  const { header, module } = await snapshots.open(from);
  spec.name = header.program || from;
  return module;
}

async function runDetached(
  { programs }: Cluster,
  place: Place,
  spec: ProgramSpec,
  module: Uint8Array | ModuleByDigest,
  options: RunOptions,
): Promise<number> {
  try {
    const { pid } = await programs.begin(place, spec, module).started();
    const { node, vkernel } = place;
    if (options.json) printJson({ pid, node, vkernel: vkernel || DEFAULT_VKERNEL });
    else print(String(pid));
    return EXIT.ok;
  } catch (error) {
    const known = clientReason(error);
    if (known?.reason !== 'START_UNKNOWN') throw error;
    const { code } = error as RpcError;
    throw new RpcError(code, `${known.said}; whether it started, vkctl ps -a says`, { cause: error });
  }
}

/** 128 + SIGPIPE: nobody reads the output any more. */
const PIPE_EXIT = 141;
const STACK_FRAMES = 16;

/** Its streams are ours until it ends. */
export async function runHere(
  to: Cluster,
  place: Place,
  spec: ProgramSpec,
  module: Uint8Array | ModuleByDigest,
  { isHere, input }: { isHere: boolean; input: boolean },
): Promise<number> {
  const abort = new AbortController();
  let pipeBroken = false;
  let pid: bigint | undefined;
  const running = to.programs.begin(place, spec, module, {
    ...(input && { stdin: process.stdin }),
    signal: abort.signal,
    onStarted: (started) => {
      pid = started.pid;
    },
    onOutput: async ({ stream, data }) => {
      const here = stream === StdStream.ERR ? process.stderr : process.stdout;
      if (await writeTo(here, data)) return;
      pipeBroken = true;
      abort.abort();
    },
  });
  const stopForwarding = forwardSignals(running, abort);
  const over = new AbortController();
  try {
    const exited = running.exited();
    const ended = (isHere ? endOfCluster(to.name, over.signal) : exited).then(() => exited);
    const { code, signal, reason, stack } = await Promise.race([exited, ended]);
    tellEnd(spec.name ?? '', { signal, reason });
    if (stack) sayAside(shortStack(stack));
    if (signal === 'SIGSYS' && isHere) printLogFile(to.name, place.node);
    return code;
  } catch (error) {
    if (pipeBroken) return PIPE_EXIT;
    if (abort.signal.aborted) return 130;
    if (pid !== undefined && hasCode(error, Code.NotFound)) throw lineBroke(spec.name ?? '', pid, error);
    throw error;
  } finally {
    over.abort();
    stopForwarding();
  }
}

/** Another vkerneld took the virtual kernels over, and has no line to who ran their programs. */
const lineBroke = (name: string, pid: bigint, cause: unknown): Failure =>
  new Failure(`${name}: the line to process ${pid} broke, since its vkerneld was started anew`, {
    fix: `It may go on: vkctl ps -a tells, and vkctl logs -f ${pid} has what it writes`,
    cause,
  });

/** The virtual kernel failed: where it wrote how, in a cluster of this machine. */
function printLogFile(cluster: string, node: string): void {
  const services = readRecord(clusterPaths(cluster).clusterFile)?.services;
  const logFile = services?.find(({ name }) => name === `${node}/vkerneld`)?.logFile;
  if (logFile !== undefined) printError(`vkctl: that log is ${logFile}`);
}

/** A runaway recursion has thousands of frames; the innermost tell. */
function shortStack(stack: string): string {
  const frames = stack.trimEnd().split('\n');
  const shown = frames.slice(0, STACK_FRAMES).map((frame) => `    ${frame.trim()}`);
  if (frames.length > STACK_FRAMES) shown.push(`    ... and ${frames.length - STACK_FRAMES} more`);
  return shown.join('\n');
}

/** Ctrl-C: first SIGINT to the program, then SIGKILL, then we leave. */
function forwardSignals(running: ProgramRun, abort: AbortController): () => void {
  let interrupts = 0;
  const send = (signal: string): void => {
    running.signal(signal).catch(() => abort.abort()); // The stream is gone: nothing to signal through.
  };
  const onInterrupt = (): void => {
    interrupts += 1;
    if (interrupts === 1) send('SIGINT');
    else if (interrupts === 2) send('SIGKILL');
    else abort.abort();
  };
  const onTerminate = (): void => send('SIGTERM');
  const onHangup = (): void => abort.abort();
  process.on('SIGINT', onInterrupt).on('SIGTERM', onTerminate).on('SIGHUP', onHangup);
  return () => {
    process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate).off('SIGHUP', onHangup);
  };
}

/** What a program asks before it prompts, colours, or writes by the line. */
export const terminalStreams = (input: boolean) => ({
  // The streams themselves are made when they are needed, while the program starts.
  input: input && isatty(0),
  output: isatty(1),
  error: isatty(2),
});

const isText = (words: readonly Word[]): words is string[] => words.every((word) => typeof word === 'string');
const asBytes = (words: readonly Word[]): Buffer[] => words.map((word) => Buffer.from(word));

const programArguments = (words: readonly Word[]) =>
  isText(words) ? { args: words } : { rawArgs: asBytes(words) };
const programEnvironment = (words: readonly Word[]) =>
  isText(words) ? { env: words } : { rawEnv: asBytes(words) };

function variable(text: string, words: RawWords): Word {
  if (/^[^=\s]+=/.test(text)) return words.value(text, '-e', '--env=');
  const value = text.includes('=') ? undefined : rawVariable(text);
  if (text.includes('='))
    throw new Failure(`--env: "${text}" is no variable`, { fix: 'Write NAME=VALUE.', exitCode: EXIT.usage });
  if (value !== undefined) return value;
  throw new Failure(`--env: "${text}" is not set here`, { fix: 'Write NAME=VALUE.', exitCode: EXIT.usage });
}

/** Each at a place of its own: of two at one the program would see the first only. */
function grants(texts: readonly string[]): ReturnType<typeof grant>[] {
  const all = texts.map(grant);
  const places = all.map(({ guestPath }) => posix.join('/', guestPath, '/'));
  const twice = places.findIndex((place, i) => places.indexOf(place) < i);
  if (twice < 0) return all;
  throw new Failure(`--dir: "${all[twice]!.guestPath}" is given twice`, {
    fix: 'Give each folder a path of its own, as --dir a:/a --dir b:/b.',
    exitCode: EXIT.usage,
  });
}

/** A folder of a node: its path is of that node's machine, and whole. */
const OF_NODE = /^([A-Za-z0-9][A-Za-z0-9.-]*)=(\/.*)$/;

function grant(text: string): { hostPath: string; guestPath: string; readOnly: boolean; node: string } {
  const [said = '', guest, mode, ...more] = text.split(':');
  const [, node = '', host = said] = OF_NODE.exec(said) ?? [];
  if (
    !host ||
    host.startsWith('=') ||
    !guest ||
    (mode !== undefined && mode !== 'ro' && mode !== 'rw') ||
    more.length > 0
  ) {
    throw new Failure(`--dir: "${text}" is not a grant`, {
      fix: 'Write host:guest, host:guest:ro or host:guest:rw, as .:/work:ro, or node=host:guest, as node2=/data:/data.',
      exitCode: EXIT.usage,
    });
  }
  if (guest.split('/').includes('..'))
    throw new Failure(`--dir: "${guest}" has ".." in it, which the program would look for as a name`, {
      fix: `Write it as ${posix.join('/', guest)}.`,
      exitCode: EXIT.usage,
    });
  return { hostPath: node === '' ? resolve(host) : host, guestPath: guest, readOnly: mode === 'ro', node };
}

/** Gives an error of `run` the exit code that says whose fault it was. */
function runFailure(path: string, error: unknown): unknown {
  if (error instanceof Failure) {
    return error.exitCode === EXIT.failed
      ? new Failure(error.message, { fix: error.fix, exitCode: EXIT.runFailed, cause: error })
      : error;
  }
  const program = hasCode(error, Code.InvalidArgument);
  const option = hasCode(error, Code.InvalidArgument) ? optionOf(error) : undefined;
  if (option !== undefined)
    return new Failure(`${option}: ${explainWithFix(error)}`, { exitCode: EXIT.usage, cause: error });
  const exitCode = program ? EXIT.runNotExecutable : EXIT.runFailed;
  // What else is denied, as to a viewer, no folder mends.
  const folder =
    hasCode(error, Code.PermissionDenied) && /^directory .*--allow-dir says which\)$/.test(error.details);
  const listener =
    hasCode(error, Code.PermissionDenied) && /--allow-listen says which\)$/.test(error.details);
  const connection =
    hasCode(error, Code.PermissionDenied) && /--allow-connect says which\)$/.test(error.details);
  const fix = folder
    ? 'Allow it: vkctl allow DIR, or when the cluster starts: vkctl up --allow-dir DIR'
    : listener
      ? 'Allow it when the cluster starts: vkctl up --allow-listen PLACE'
      : connection
        ? 'Allow it when the cluster starts: vkctl up --allow-connect PLACE'
        : undefined;
  return new Failure(oneLine(`${path}: `) + explainWithFix(error), { exitCode, fix, cause: error });
}

const OPTION_OF: Readonly<Record<string, string>> = {
  'start.dirs': '--dir',
  'start.listen': '--listen',
  'start.listen_on': '--listen-on',
  'start.connect': '--connect',
  'start.memory_bytes': '--memory',
};

/** Whose value it is about, where it is one that the node reads. */
function optionOf(error: RpcError): string | undefined {
  const field = error.detail('google.rpc.BadRequest')?.fieldViolations[0]?.field;
  return field === undefined ? undefined : OPTION_OF[field.replace(/\[.*$/, '')];
}
