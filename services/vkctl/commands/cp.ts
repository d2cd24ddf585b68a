// vkctl cp: files into and out of a virtual kernel, by a small program that runs there as any other does.
import { accessSync, constants, createReadStream, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import type { Cluster } from '@odonata/client/cluster.ts';
import { Errno } from '@odonata/pmap/errno.ts';
import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { EXIT, Failure, reasonOf } from '../failure.ts';
import { printJson } from '../json.ts';
import { COPY_PROGRAM } from './copy-program.ts';
import { type ClusterOption, clusterOption, examples, jsonOption, quietOption } from './options.ts';
import { writeTo } from './stdio.ts';

interface CpOptions extends ClusterOption {
  json?: boolean;
}

/** To the errno of a file that was there before, and is cut off: copy-program.wat. */
const WAS_THERE = 100;
/** [NODE/]VKERNEL:/path */
const THERE = /^((?:[a-z0-9][a-z0-9.-]*\/)?[a-z0-9][a-z0-9-]{0,31}):(\/.*)$/;

interface There {
  readonly vkernel: string;
  readonly path: string;
}

export function addCp(program: Command): void {
  const command = program
    .command('cp')
    .summary('copy files into and out of a virtual kernel')
    .usage('[options] <from> <to>')
    .description(
      'Copies a file to or from what the programs of a virtual kernel have: its /tmp, /shared, and /home/USER of its node; from ' +
        '/bin and /proc, too. That side is written as [NODE/]VKERNEL:/path; the other is a file here, or - for standard input or ' +
        'output. Into a folder that is there it goes under its own name. Folders are not copied. What could not be copied whole is removed, ' +
        'but where this command itself was ended.',
    )
    .argument('<from>', 'a file here, or [NODE/]VKERNEL:/path')
    .argument('<to>', 'the other of these')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(cp);
  examples(command, [
    ['vkctl cp in.txt node1/default:/tmp/in.txt', 'for programs of node1'],
    ['vkctl cp node1/default:/tmp/out.txt .', 'and back'],
    ['vkctl cp - default:/shared/text < text', 'a dataspace of what comes'],
  ]);
}

async function cp(from: string, to: string, options: CpOptions): Promise<void> {
  const [source, target] = [THERE.exec(from), THERE.exec(to)];
  if ((source === null) === (target === null))
    throw new Failure(`cp: one of "${from}" and "${to}" is in a virtual kernel, and the other is here`, {
      fix: 'Write that one as [NODE/]VKERNEL:/path, as node1/default:/tmp/a.',
      exitCode: EXIT.usage,
    });
  const there = placeOf(source ?? target!);
  const bytes = await withCluster(options, (cluster) =>
    source === null ? put(cluster, from, there) : get(cluster, there, to),
  );
  if (options.json) printJson({ from, to, bytes });
}

const placeOf = ([, vkernel, path]: RegExpExecArray): There => ({ vkernel: vkernel!, path: path! });

async function put(cluster: Cluster, file: string, there: There): Promise<number> {
  const about = file === '-' ? undefined : statSync(file, { throwIfNoEntry: false });
  if (about?.isDirectory())
    throw new Failure(`cp: "${file}" is a folder, and folders are not copied`, {
      fix: `Copy it as one file: tar -c ${JSON.stringify(file)} | vkctl cp - NODE/VKERNEL:/tmp/NAME.tar`,
      exitCode: EXIT.usage,
    });
  if (file !== '-' && !about?.isFile())
    throw new Failure(`cp: "${file}" is no file here`, { exitCode: EXIT.usage });
  try {
    // Before anything begins there.
    if (file !== '-') accessSync(file, constants.R_OK);
  } catch (error) {
    throw notHere('read', file, error);
  }
  let bytes = 0;
  async function* read(): AsyncGenerator<Uint8Array> {
    for await (const piece of file === '-' ? process.stdin : createReadStream(file)) {
      bytes += (piece as Uint8Array).length;
      yield piece as Uint8Array;
    }
  }
  const name = file === '-' ? 'input' : basename(file);
  const to = async (path: string) => {
    bytes = 0;
    return await end(cluster, { ...there, path }, 'put', { stdin: read(), onOutput: async () => {} });
  };
  const within = `${there.path.replace(/\/$/, '')}/${name}`;
  let ended = await to(there.path.endsWith('/') ? within : there.path);
  // A folder: into it, as cp does. What comes by standard input comes once.
  if (ended.errno === Errno.isdir && file !== '-') ended = await to(within);
  expectDone(ended, 'put');
  return bytes;
}

async function get(cluster: Cluster, there: There, to: string): Promise<number> {
  const isFolder = to !== '-' && statSync(to, { throwIfNoEntry: false })?.isDirectory() === true;
  const file = isFolder ? `${to}/${basename(there.path)}` : to;
  // What is there stays until the copy is whole.
  const part = `${file}.${process.pid}.part`;
  const here =
    to === '-'
      ? undefined
      : await open(part, 'wx').catch((error) => {
          throw notHere('write', file, error);
        });
  let bytes = 0;
  try {
    const ended = await end(cluster, there, 'get', {
      onOutput: async ({ stream, data }) => {
        if (stream !== StdStream.OUT) return;
        bytes += data.length;
        if (here === undefined) await writeTo(process.stdout, data);
        else await here.writeFile(data);
      },
    });
    expectDone(ended, 'get');
    if (here !== undefined) moveTo(part, file);
  } finally {
    await here?.close();
    if (here !== undefined) rmSync(part, { force: true });
  }
  return bytes;
}

function moveTo(part: string, file: string): void {
  try {
    renameSync(part, file);
  } catch (error) {
    throw notHere('write', file, error);
  }
}

/** By the name that was typed: that of a copy that is not whole yet says nothing to anybody. */
function notHere(what: 'read' | 'write', file: string, cause: unknown): Failure {
  const isGone = what === 'write' && (cause as NodeJS.ErrnoException).code === 'ENOENT';
  const why = isGone ? `there is no folder "${dirname(file)}" here` : reasonOf(cause);
  return new Failure(`cp: cannot ${what} "${file}": ${why}`, { cause });
}

/** `no such file or directory (ENOENT)` */
function wordsOf(errno: string): string {
  const [, words] = [...getSystemErrorMap().values()].find(([name]) => name === errno) ?? [];
  return words === undefined ? errno : `${words} (${errno})`;
}

/** What has no room for it, and how it gets some. */
function fullOf(
  errno: number,
  { node, vkernel, path }: { node: string; vkernel: string; path: string },
  isCut: boolean,
): { what: string; fix: string } | undefined {
  if (errno !== Errno.nospc && errno !== Errno.dquot) return undefined;
  const left = isCut ? '; the file that was there is cut off' : '; nothing of it is left there';
  const [, top = ''] = path.split('/');
  if (top === 'tmp')
    return {
      what: `its /tmp is full (256 MiB or --disk of the virtual kernel are the most), or the memory of ${node} is${left}`,
      fix: `Empty a file there (vkctl cp - ${node}/${vkernel}:/tmp/NAME < /dev/null), or copy to its home, /home/USER.`,
    };
  if (errno === Errno.dquot)
    return {
      what: `its home has all of its --disk${left}`,
      fix: `Remove some of it, or: vkctl vkernel set ${vkernel} --node ${node} --disk SIZE`,
    };
  const full = top === 'shared' ? `${node} has no memory for the dataspace` : `the disk of ${node} is full`;
  return { what: `${full}${left}`, fix: 'vkctl status shows what there is of each node.' };
}

type Io = NonNullable<Parameters<Cluster['programs']['begin']>[3]>;

/** How the program ended, and where it ran. */
interface Ended {
  readonly code: number;
  readonly reason: string;
  /** 0: well, or it is no errno. */
  readonly errno: number;
  /** The file that was there is cut off. */
  readonly isCut: boolean;
  readonly where: { readonly node: string; readonly vkernel: string; readonly path: string };
}

async function end(
  { programs }: Cluster,
  { vkernel, path }: There,
  what: 'get' | 'put',
  io: Io,
): Promise<Ended> {
  const place = await programs.place({ vkernel, existing: true });
  const spec = { name: 'cp', args: [what, path] };
  const { code, reason } = await programs.begin(place, spec, COPY_PROGRAM, io).exited();
  const isCut = code > WAS_THERE;
  const where = { node: place.node, vkernel: place.vkernel || 'default', path };
  return { code, reason, errno: isCut ? code - WAS_THERE : code, isCut, where };
}

/** @throws Failure */
function expectDone({ code, reason, errno, isCut, where }: Ended, what: 'get' | 'put'): void {
  if (code === 0) return;
  const name = Object.entries(Errno).find(([, each]) => each === errno)?.[0];
  const why = reason || (name === undefined ? `exit code ${code}` : wordsOf(`E${name.toUpperCase()}`));
  const full = reason === '' && what === 'put' ? fullOf(errno, where, isCut) : undefined;
  const intoIt =
    errno === Errno.isdir && what === 'put' ? { fix: 'Name the file: put / and a name behind it.' } : {};
  throw new Failure(
    `cp: ${where.node}/${where.vkernel}:${where.path}: ${why}${full === undefined ? '' : `: ${full.what}`}`,
    full === undefined ? intoIt : { fix: full.fix },
  );
}
