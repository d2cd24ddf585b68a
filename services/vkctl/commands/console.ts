import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { locationOf } from '@odonata/client/local/running.ts';
import type { Location } from '@odonata/client/location.ts';
import { isAddress, isUnix } from '@odonata/rpc/address.ts';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { TokenSource } from '@odonata/rpc/identity/token-source.ts';
import { type Command, InvalidArgumentError } from 'commander';
import { clusterName } from '../cluster/paths.ts';
import { elsewhere, runningRecord } from '../connection.ts';
import { EXIT, Failure, told } from '../failure.ts';
import { printJson } from '../json.ts';
import { print, sayAside } from '../output.ts';
import { type ClusterOption, clusterOption, examples, jsonOption, quietOption } from './options.ts';

interface ConsoleOptions extends ClusterOption {
  listen: string;
  httpsDir?: string;
  json?: boolean;
  quiet?: boolean;
}

const MAIN = fileURLToPath(new URL('../../console/main.ts', import.meta.url));
/** It makes its page first, by a bundler. */
const START_MS = 30_000;

export function addConsole(program: Command): void {
  const command = program
    .command('console')
    .summary('a page for a browser that shows the cluster as it changes')
    .description(
      'Serves a page that shows nodes, processes, faults, events, and the pages of shared memory as they change, and prints its ' +
        'address, until Ctrl-C. Whoever has that address within ten minutes, once, is you there; others log in with the context ' +
        'file that "vkctl user add" makes.',
    )
    .option('--listen <address>', 'host:port; port 0: any free one', listenAddress, '127.0.0.1:7480')
    .option(
      '--https-dir <folder>',
      'with tls.crt and tls.key for browsers: needed where other machines reach it',
    )
    .addOption(clusterOption())
    .addOption(jsonOption('print the address as JSON'))
    .addOption(quietOption('print the address only'))
    .action(serve);
  examples(command, [
    ['vkctl console', 'open what it prints in a browser'],
    ['vkctl console --listen 127.0.0.1:0 --json', 'for a program'],
    ['vkctl console --listen 0.0.0.0:7480 --https-dir web', 'for other machines, too'],
  ]);
}

function listenAddress(text: string): string {
  if (isAddress(text) && !isUnix(text)) return text;
  throw new InvalidArgumentError('Use host:port, as 127.0.0.1:7480.');
}

async function serve(options: ConsoleOptions): Promise<void> {
  const { cluster, routers, credential } = await locationMeant(options.cluster);
  const args = [
    '--listen',
    options.listen,
    '--syslink',
    routers,
    '--cluster',
    cluster,
    '--log-level',
    'warn',
  ];
  if (credential !== undefined) args.push('--tls-dir', credential.tlsDir);
  if (options.httpsDir !== undefined) args.push('--https-dir', options.httpsDir);
  // Its standard output is ours; when this process goes away, so does it.
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
  const end = (signal: NodeJS.Signals) => () => void child.kill(signal);
  process.on('SIGINT', end('SIGINT'));
  process.on('SIGTERM', end('SIGTERM'));
  const said = once(child, 'message', { signal: AbortSignal.timeout(START_MS) }) as Promise<
    [{ url: string }]
  >;
  const first = await Promise.race([said.catch(() => undefined), ended.then(() => undefined)]);
  if (first === undefined) {
    child.kill('SIGKILL');
    throw new Failure('the console did not start', { fix: 'The lines above say why.' });
  }
  const [{ url }] = first;
  const token = credential && new TokenSource(new TlsFolder(credential.tlsDir), url).token;
  const address = token === undefined ? url : `${url}/#token=${token}`;
  if (options.json) printJson({ cluster, url, address });
  else print(address);
  if (!options.json)
    sayAside(
      `The console of cluster "${cluster}" runs until Ctrl-C. Open the address above in a browser within 10 minutes.`,
    );
  const [status] = await ended;
  if (status !== 0 && status !== null)
    throw new Failure(`the console ended with ${status}`, {
      exitCode: status === EXIT.usage ? EXIT.usage : EXIT.failed,
    });
}

async function locationMeant(named: string | undefined): Promise<Location> {
  const name = clusterName(named);
  try {
    const away = elsewhere(named);
    if (away === undefined) return locationOf(await runningRecord(name));
    const { credentialFor } = await import('@odonata/client/location.ts');
    const cluster = away.cluster ?? name;
    return {
      cluster,
      routers: away.routers,
      credential: away.credential ?? credentialFor(cluster, away.routers),
    };
  } catch (error) {
    throw told(error);
  }
}
