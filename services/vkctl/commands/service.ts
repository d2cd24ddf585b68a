import type { Services } from '@odonata/client/services.ts';
import type { Service } from '@odonata/proto/service/v1/service';
import { delay } from '@odonata/rpc/backoff.ts';
import { type Command, Option } from 'commander';
import { withCluster } from '../connection.ts';
import { EXIT, Failure } from '../failure.ts';
import { printJson, printJsonLine } from '../json.ts';
import { print, printNames, say, sayAside } from '../output.ts';
import { durationMs } from '../service-file/duration.ts';
import { formatSize } from '../size.ts';
import { type Column, table } from '../table.ts';
import { type WatchOption, watchable, watched } from '../watch.ts';
import { withCarets } from './carets.ts';
import {
  type ClusterOption,
  clusterOption,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
  userOption,
  wholeNumber,
} from './options.ts';
import {
  failedOf,
  plainService,
  stateOf,
  troublesOf,
  unplacedText,
  waitsOf,
  wellOf,
} from './service-state.ts';
import { writeTo } from './stdio.ts';

const LOOK_MS = 300;

interface ServiceOptions extends ClusterOption {
  user?: string;
  json?: boolean;
}

export function addService(program: Command): void {
  const service = program
    .command('service')
    .summary('services: what the cluster keeps running')
    .description('What "vkctl apply" wants, and what there is of it.');
  examples(service, [
    ['vkctl service ls', 'all, with where each instance runs'],
    ['vkctl service logs -f web', 'what all of its instances write'],
    ['vkctl service scale web 3', 'three of it'],
  ]);
  addList(service);
  addLogs(service);
  addRollout(service);
  addScale(service);
  addRemove(service);
}

const placed = (command: Command): Command =>
  command.addOption(userOption()).addOption(clusterOption()).addOption(jsonOption()).addOption(quietOption());

function addList(service: Command): void {
  const ls = service
    .command('ls')
    .summary('list services and their instances')
    .description(
      'Lists your services, a line an instance; for an admin, an operator or a viewer those of all.',
    )
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print names only'))
    .action((options: ClusterOption & QuietOption & WatchOption) => watched(options, () => list(options)));
  watchable(ls);
  examples(ls, [
    ['vkctl service ls --watch 2', 'as they change'],
    ['vkctl service ls --json | jq \'.[] | select(.state != "ready").name\'', 'those that are not as wanted'],
  ]);
}

const COLUMNS: Column[] = [
  { head: 'SERVICE' },
  { head: 'USER' },
  { head: 'STATE' },
  { head: 'READY', align: 'right' },
  { head: 'INSTANCE' },
  { head: 'NODE' },
  { head: 'PID', align: 'right' },
  { head: 'IS' },
  { head: 'RESTARTS', align: 'right' },
  { head: 'REASON' },
];

async function list(options: ClusterOption & QuietOption & { json?: boolean }): Promise<void> {
  const services = await withCluster(options, ({ services: all }) => all.list());
  if (options.json) printJson(services.map(plainService));
  else if (options.quiet) printNames(services.map(({ name }) => name));
  else print(table(COLUMNS, services.flatMap(rows)));
}

function rows(service: Service): (string | number)[][] {
  const { name, user, replicas, waitsFor, instances } = service;
  const head = [name, user, stateOf(service), `${wellOf(service)}/${replicas}`];
  const waits = waitsFor.length === 0 ? '' : `waits for ${waitsFor.join(', ')}`;
  const none = unplacedText(service);
  const more = none === undefined ? [] : [['-', '-', '-', 'waits', '-', none]];
  if (instances.length + more.length === 0) return [[...head, '-', '-', '-', '-', '-', waits || '-']];
  const shown = instances.map((each) => [
    ...[each.replica, each.node || '-', each.pid === 0n ? '-' : String(each.pid), each.state, each.restarts],
    each.state === 'healthy' || each.state === 'running' ? '-' : each.reason || waits || '-',
  ]);
  return [...shown, ...more].map((row, at) => [...(at === 0 ? head : ['', '', '', '']), ...row]);
}

interface LogsOptions extends ServiceOptions {
  follow?: boolean;
  replica?: number;
}

function addLogs(service: Command): void {
  const command = placed(
    service
      .command('logs')
      .summary('what its instances wrote')
      .description(
        'Prints what its instances wrote since they were started last, of each a line after its number; before it, where the life ' +
          'before ended badly, what that wrote.',
      )
      .argument('<name>', 'as "vkctl service ls" shows it')
      .option('-f, --follow', 'go on, also with those that are started meanwhile, until Ctrl-C')
      .addOption(new Option('--replica <number>', 'of this one only').argParser(wholeNumber(0, 99))),
  ).action(logs);
  examples(command, [
    ['vkctl service logs web', 'what is kept: the last 1 MiB of each'],
    ['vkctl service logs -f web --replica 0', 'and what comes, of the first'],
  ]);
}

async function logs(name: string, options: LogsOptions): Promise<void> {
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  const { signal } = abort;
  await withCluster(options, async ({ programs, services }) => {
    const followed = new Map<bigint, Promise<void>>();
    const several = options.replica === undefined;
    do {
      const { instances } = await services.get({ name, user: options.user }, { signal });
      for (const { replica, pid, lastPid, reason } of instances) {
        if (!several && replica !== options.replica) continue;
        const writer = new Lines(several ? `${replica} | ` : '');
        const read = async (of: bigint) => {
          for await (const piece of programs.logs(of, { follow: options.follow ?? false, signal })) {
            const { stream, data, droppedBytes } = piece;
            if (options.json) printJsonLine({ replica, stream, data, droppedBytes });
            else {
              if (droppedBytes > 0n)
                sayAside(`vkctl: ${formatSize(droppedBytes)} before this are no longer kept`);
              await writer.write(stream, data);
            }
          }
        };
        const readAll = async () => {
          // What ended badly tells why only there.
          if (lastPid !== 0n && !followed.has(lastPid)) {
            await read(lastPid).catch(() => {});
            if (!signal.aborted)
              sayAside(`vkctl: ${name}.${replica} ended before: ${reason || 'it is started again'}`);
          }
          if (pid !== 0n) await read(pid);
        };
        const key = pid === 0n ? lastPid : pid;
        if (key === 0n || followed.has(key)) continue;
        // One whose node is gone has no log any more; its next life has.
        followed.set(
          key,
          readAll().catch((error: Error) => {
            if (!signal.aborted) sayAside(`vkctl: the log of ${name}.${replica}: ${error.message}`);
          }),
        );
      }
      if (options.follow) await delay(LOOK_MS, signal);
    } while (options.follow && !signal.aborted);
    await Promise.all(followed.values());
    if (signal.aborted) process.exitCode = 130;
  });
}

/** Whole lines, each after the number of its instance. */
class Lines {
  readonly #head: string;
  readonly #begun = { stdout: false, stderr: false };

  constructor(head: string) {
    this.#head = head;
  }

  async write(stream: 'stdout' | 'stderr', data: Uint8Array): Promise<void> {
    if (data.length === 0) return;
    const to = stream === 'stderr' ? process.stderr : process.stdout;
    const shown = to.isTTY ? withCarets(data) : data;
    if (this.#head === '') {
      await writeTo(to, shown);
      return;
    }
    const text = Buffer.from(shown).toString('latin1');
    const ends = text.endsWith('\n');
    const lines = (ends ? text.slice(0, -1) : text).split('\n').map((line, at) => {
      return at === 0 && this.#begun[stream] ? line : this.#head + line;
    });
    this.#begun[stream] = !ends;
    await writeTo(to, Buffer.from(lines.join('\n') + (ends ? '\n' : ''), 'latin1'));
  }
}

interface RolloutOptions extends ServiceOptions {
  restart?: boolean;
  timeout: number;
}

function addRollout(service: Command): void {
  const command = placed(
    service
      .command('rollout')
      .summary('wait until it is as it is wanted')
      .description(
        'Waits until all replicas run what was applied last, and are healthy, and says how far it is. Where one fails for ' +
          'good the rollout stops: the others run what they ran, and this ends with 1 and the reason.',
      )
      .argument('<name>', 'as "vkctl service ls" shows it')
      .option('--restart', 'replace all replicas first, though nothing changed')
      .addOption(new Option('--timeout <time>', 'so long at most').argParser(spanOf).default(300_000, '5m')),
  ).action(rollout);
  examples(command, [
    ['vkctl apply -f web.yaml && vkctl service rollout web', 'a new release, or the reason why not'],
    ['vkctl service rollout web --restart', 'each anew, one after the other'],
  ]);
}

function spanOf(text: string): number {
  const ms = durationMs(text);
  if (ms !== undefined) return ms;
  throw new Failure(`--timeout: "${text}" is no time`, {
    fix: 'Write 500ms, 10s, 5m.',
    exitCode: EXIT.usage,
  });
}

async function rollout(name: string, options: RolloutOptions): Promise<void> {
  const which = { name, user: options.user };
  const endMs = Date.now() + options.timeout;
  const done = await withCluster(options, async ({ services }) => {
    if (options.restart) await services.restart(which);
    let told = '';
    for (;;) {
      const now = await services.get(which);
      const state = stateOf(now);
      if (state === 'ready') return now;
      const failed = failedOf(now);
      if (failed !== undefined)
        throw new Failure(`service ${name}: replica ${failed.replica} failed: ${failed.reason}`, {
          fix: 'The others run what they ran. Apply a file that is right; vkctl service logs shows what it wrote.',
        });
      if (Date.now() > endMs)
        throw new Failure(`service ${name} is not ready in time: ${await progress(now, services)}`, {
          fix: 'vkctl service ls shows all.',
        });
      const far = await progress(now, services);
      if (!options.json && far !== told) sayAside(`service ${name}: ${far}`);
      told = far;
      await delay(LOOK_MS);
    }
  });
  if (options.json) printJson(plainService(done));
  else say(`service ${name} is ready: ${done.replicas} of ${done.replicas}`);
}

/** How far it is, and why not further. */
async function progress(service: Service, services: Services): Promise<string> {
  const ready = `${wellOf(service)} of ${service.replicas} ready`;
  const none = unplacedText(service);
  const far = none === undefined ? ready : `${ready}, ${none}`;
  const [trouble] = troublesOf(service);
  if (trouble !== undefined) return `${far}, ${trouble}`;
  if (service.waitsFor.length === 0) return far;
  return `${far}, ${waitsOf(service, await services.list({ user: service.user }))}`;
}

function addScale(service: Command): void {
  const command = placed(
    service
      .command('scale')
      .summary('another number of replicas')
      .description('Those with the highest numbers end first.')
      .argument('<name>', 'as "vkctl service ls" shows it')
      .argument('<replicas>', 'how many there are to be', wholeNumber(0, 100)),
  ).action(async (name: string, replicas: number, options: ServiceOptions) => {
    await withCluster(options, ({ services }) => services.scale({ name, user: options.user }, replicas));
    if (options.json) printJson({ name, replicas });
    else say(`service ${name} is to have ${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`);
  });
  examples(command, [
    ['vkctl service scale web 3', 'three, on as many nodes as there are'],
    ['vkctl service scale web 0', 'none for now; it stays known'],
  ]);
}

function addRemove(service: Command): void {
  const command = placed(
    service
      .command('rm')
      .summary('end services, and forget them')
      .description('Ends their instances with their virtual kernels, and waits until all are gone.')
      .argument('<names...>', 'as "vkctl service ls" shows them')
      .addOption(new Option('--timeout <time>', 'so long at most').argParser(spanOf).default(60_000, '1m')),
  ).action(remove);
  examples(command, [['vkctl service rm web db', 'their durable dataspaces stay']]);
}

async function remove(names: string[], options: ServiceOptions & { timeout: number }): Promise<void> {
  const endMs = Date.now() + options.timeout;
  await withCluster(options, async ({ services }) => {
    const own = (name: string) => ({ name, user: options.user });
    for (const name of names) await services.remove(own(name));
    for (const name of names) {
      const left = async () =>
        (await services.list({ name })).find(
          ({ removed, user }) => removed && (options.user ?? user) === user,
        );
      for (let now = await left(); now !== undefined; now = await left()) {
        if (Date.now() > endMs)
          throw new Failure(`service ${name} is not gone in time`, {
            fix: 'It goes by and by: an instance on a node that is silent counts until its lease is over.',
          });
        await delay(LOOK_MS);
      }
    }
  });
  if (options.json) printJson(names.map((name) => ({ name })));
  else for (const name of names) say(`service ${name} is gone`);
}
