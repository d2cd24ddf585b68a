import { text } from 'node:stream/consumers';
import { splitAddress } from '@odonata/rpc/address.ts';
import { LAYERS, type LayerName } from '@odonata/userfault/sandbox/layer-names.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { clusterFlag } from '../cluster/cluster-flag.ts';
import { NODE_NAME } from '../door/messages.ts';
import { EXIT, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { joinCluster } from '../machine/join.ts';
import { say, showProgress } from '../output.ts';
import { formatSpan, parseSize } from '../size.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  collect,
  examples,
  jsonOption,
  quietOption,
  wholeNumber,
} from './options.ts';

/** pmapd's own. */
const DEFAULT_PORT = 7431;

interface JoinCommandOptions extends ClusterOption {
  token: string;
  name?: string;
  address?: { host: string; port: number };
  allowDir?: string[];
  nodeMemory?: string;
  allowUnconfined?: LayerName[];
  timeout: number;
  json?: boolean;
}

export function addJoin(program: Command): void {
  const command = program
    .command('join')
    .summary('make this machine a node of a cluster elsewhere')
    .description(
      'Joins a cluster that was started on another machine with "vkctl up --address", and returns when the node works there. ' +
        'Keys are made here and stay here. Then "vkctl down" and "vkctl up" end and start this node.',
    )
    .argument(
      '<address>',
      'of the machine where the cluster began: a host, and where its door is at another port than the token says: host:port',
    )
    .requiredOption(
      '--token <token>',
      'what "vkctl node token add" printed there; -: read it from standard input',
    )
    .option('--name <node>', 'as node7; else the next one that is free', nodeName)
    .option(
      '--address <address>',
      `by which the other machines reach this one, host or host:port; else by which it reaches the first one, and port ${DEFAULT_PORT}`,
      ownAddress,
    )
    .option('--allow-dir <dir>', 'folder that "run --dir" may grant to programs (repeatable)', collect)
    .option('--node-memory <size>', 'memory of the node, as 512M; else its share of /dev/shm')
    .addOption(
      new Option(
        '--allow-unconfined <layers>',
        `start virtual kernels also where this machine lacks these walls (${LAYERS.join(', ')}); see "vkctl doctor"`,
      ).argParser(layersOf),
    )
    .option('--timeout <seconds>', 'give up after so long', wholeNumber(1, 3600), 60)
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(joinOne);
  examples(command, [
    ['vkctl join 10.0.0.1 --token odo1.AbC...', 'the line that "vkctl up --address 10.0.0.1" printed there'],
    [
      'vkctl join cluster.example.org --token odo1.AbC... --address 192.0.2.7',
      'where others reach it by another address',
    ],
    ['vkctl join 10.0.0.1 --token odo1.AbC... -c work', 'beside another cluster of this machine, as "work"'],
  ]);
}

function nodeName(text: string): string {
  if (NODE_NAME.test(text)) return text;
  throw new InvalidArgumentError('Use node1 to node99.');
}

export function layersOf(text: string): LayerName[] {
  return text.split(',').map((word) => {
    const layer = LAYERS.find((name) => name === word);
    if (layer === undefined) throw new InvalidArgumentError(`"${word}" is none of ${LAYERS.join(', ')}.`);
    return layer;
  });
}

const HOST = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/;

/** @param port where the text has none */
export function hostAndPort(text: string, port: number): { host: string; port: number } {
  const match = HOST.exec(text);
  if (match !== null && Number(match[2] ?? port) <= 65_535)
    return splitAddress(`${match[1]}:${match[2] ?? port}`);
  throw new InvalidArgumentError(`"${text}" is no address: use host or host:port.`);
}

export const ownAddress = (text: string) => hostAndPort(text, DEFAULT_PORT);

async function joinOne(address: string, options: JoinCommandOptions): Promise<void> {
  const cluster = clusterOf(options);
  const { host, port: doorPort } = hostOf(address);
  const startMs = Date.now();
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  process.once('SIGTERM', () => abort.abort());
  const notes: string[] = [];
  const { membership } = await joinCluster({
    ...{
      cluster,
      host,
      doorPort: doorPort || undefined,
      token: (options.token === '-' ? await text(process.stdin) : options.token).trim(),
      name: options.name,
    },
    ...{ ownHost: options.address?.host, port: options.address?.port ?? DEFAULT_PORT },
    options: {
      ...(options.allowDir && { allowDirs: options.allowDir }),
      ...(options.nodeMemory && { framesBytes: parseSize(options.nodeMemory, '--node-memory') }),
      ...(options.allowUnconfined && { allowUnconfined: options.allowUnconfined }),
    },
    start: {
      timeoutMs: options.timeout * 1_000,
      signal: abort.signal,
      onProgress: ({ waitingFor }) => showProgress(`joined, waiting for ${waitingFor.join(', ')}`),
      onNote: (line) => notes.push(line),
    },
  });
  const { node, routers } = membership;
  if (options.json)
    return printJson({
      node: node.name,
      index: node.index,
      of: membership.cluster,
      cluster,
      syslink: routers,
      notes,
    });
  const flag = clusterFlag(cluster);
  say(`${node.name} has joined cluster "${membership.cluster}" (${formatSpan(Date.now() - startMs)})`);
  for (const note of notes) say(note);
  say(
    `end and start it with: vkctl down${flag}, vkctl up${flag}; leave for good with: vkctl down --purge${flag}`,
  );
}

/** Port 0: none was typed. */
function hostOf(address: string): { host: string; port: number } {
  try {
    return hostAndPort(address, 0);
  } catch (error) {
    const { message } = error as Error;
    throw new Failure(message.replace(/: use host or host:port\.$/, ''), {
      fix: 'Use host or host:port.',
      exitCode: EXIT.usage,
    });
  }
}
