// Starts the hostile look around in a sandbox, and hears what it found.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { vkernelUids } from '@odonata/rpc/vkernel-uids.ts';
import type { CgroupBounds } from '@odonata/userfault/sandbox/cgroup.ts';
import { LAYERS } from '@odonata/userfault/sandbox/layer-names.ts';
import { type Host, lookAtHost } from '@odonata/userfault/sandbox/layers.ts';
import { Sandbox } from '@odonata/userfault/sandbox/sandbox.ts';
import type { Asked, Found } from './view.ts';

const SAID_MS = 10_000;
const ENTRY = fileURLToPath(new URL('../../services/vkerneld/vkernel/confined.ts', import.meta.url));
const VIEW = fileURLToPath(new URL('./view.ts', import.meta.url));

export interface Place {
  folder: string;
  socketDir: string;
  sockets: string;
  /** A folder of somebody's data. */
  data: string;
  uid: number | undefined;
}

export function makePlace(): Place {
  // As wide open as somebody's folders are: what keeps a virtual kernel out are the walls, and not its mode.
  const folder = mkdtempSync(join(tmpdir(), 'odonata-escape-'));
  const socketDir = join(folder, 's');
  const sockets = join(socketDir, 'vkernels');
  const data = join(folder, 'data');
  mkdirSync(sockets, { recursive: true });
  mkdirSync(data);
  writeFileSync(join(socketDir, 'handover.sock'), '');
  chmodSync(folder, 0o755);
  chmodSync(data, 0o777);
  return { folder, socketDir, sockets, data, uid: vkernelUids(socketDir)?.first };
}

export const removePlace = ({ folder }: Place): void => rmSync(folder, { recursive: true });

/** What this machine has. */
export const host = lookAtHost(vkernelUids('/odonata-escape')?.first);

export interface Look {
  found: Found | undefined;
  how: string;
  hostPid: number;
}

/** Runs a program of this folder in the place of a virtual kernel of a node that runs, and hears what it says. */
export async function heardFrom(
  sockets: string,
  { program, uidOf, asked }: { program: string; uidOf: string; asked: object },
): Promise<unknown> {
  const range = vkernelUids(uidOf);
  // One that no virtual kernel of the node has.
  const uid = range && range.first + range.count - 1;
  const folder = mkdtempSync(join(tmpdir(), 'odonata-escape-'));
  try {
    const { found, how } = await look(
      { folder, socketDir: folder, sockets, data: folder, uid },
      { program: fileURLToPath(new URL(program, import.meta.url)), ask: asked as Partial<Asked> },
    );
    if (found === undefined) throw new Error(`${program} ended, and said nothing: ${how}`);
    return found;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * @param change takes layers away
 * @param whileThere is called with its pid before it says anything
 */
export async function look(
  place: Place,
  {
    change = {},
    bounds = { memoryBytes: 2 ** 31, threads: 200 },
    ask = {},
    program = VIEW,
    asUs = false,
  }: {
    change?: Partial<Host>;
    bounds?: CgroupBounds;
    ask?: Partial<Asked>;
    program?: string;
    /** Without a uid of its own. */
    asUs?: boolean;
  } = {},
): Promise<Look> {
  const uid = asUs ? undefined : place.uid;
  const sandbox = new Sandbox(
    {
      ...{ socketDir: place.socketDir, sockets: [place.sockets], allowDirs: [], uid, logs: false },
      allowUnconfined: new Set(LAYERS),
      onTrouble: (error) => {
        throw error;
      },
    },
    { ...host, ...change },
  );
  const report = join(place.sockets, 'report.sock');
  const heard = Promise.withResolvers<Found>();
  const server = createServer((socket) => {
    text(socket).then((said) => said !== '' && heard.resolve(JSON.parse(said) as Found), heard.reject);
  });
  await new Promise<void>((resolve) => server.listen(report, resolve));
  chmodSync(report, 0o666);
  const asked: Asked = { report, read: [], write: [], ...ask };
  try {
    const { hostPid, ended } = sandbox.start({
      ...{ name: 'escape', entry: ENTRY, program, uid, bounds },
      settings: { ODONATA_ESCAPE: JSON.stringify(asked) },
      mark: ['ODONATA_VKERNEL_CONTROL', 'unix:/test'],
    });
    const pid = await hostPid;
    // One that ended well has said what it found; that may still be on its way.
    const how = ended.then(async (how) => {
      const late = how === 'exit code 0' ? SAID_MS : 0;
      const found = await Promise.race([heard.promise, delay(late).then(() => undefined)]);
      return { how, found };
    });
    const first = await Promise.race([heard.promise.then((found) => ({ how: '', found })), how]);
    return { hostPid: pid, found: first.found, how: first.how || (await ended) };
  } finally {
    sandbox.ended('escape');
    await sandbox.close();
    server.close();
    rmSync(report, { force: true });
  }
}
