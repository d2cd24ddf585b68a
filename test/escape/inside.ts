// A hostile virtual kernel as a process in the place of a real one, behind the real walls, with a real session at the pmap manager
// of a node: what it gets there are a real one's descriptors. It tells what came of each attempt on the socket that it was given.
import { chmodSync, constants, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { AttachRequestSchema, ControlService } from '@odonata/proto/vkernel/v1/vkernel';
import { openStream } from '@odonata/rpc/client.ts';
import { type Code, codeName, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { useToken } from '@odonata/rpc/identity/own.ts';
import type { VkernelSockets } from '@odonata/rpc/vkernel-sockets.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { MapFlag, mmap, Prot, punchHole } from '@odonata/userfault/libc.ts';
import { sayByChance } from './by-chance.ts';
import { HostileVkernel } from './hostile-vkernel.ts';

/** Who it says that it is. */
interface As {
  token: string;
  name: string;
}

export interface Asked {
  sockets: VkernelSockets;
  seed: number;
  count: number;
  firstPid: string;
  mallory: As;
  bob: As;
  pmapdPid: number;
}

/** What came of each attempt: the error, or `done`. */
export type Said = Record<string, string | number | string[]>;

const { report, ...asked } = JSON.parse(process.env.ODONATA_ESCAPE ?? '{}') as Asked & { report: string };
const { sockets } = asked;
let pid = BigInt(asked.firstPid);
const said: Said = {};

function attempt(name: string, what: () => unknown): void {
  try {
    what();
    said[name] = 'done';
  } catch (error) {
    said[name] = (error as { code?: string }).code ?? String(error);
  }
}

async function ends(name: string, what: () => Promise<unknown>): Promise<void> {
  try {
    said[name] = `done: ${await what()}`;
  } catch (error) {
    said[name] = codeName(fromServiceError(error).code);
  }
}

async function welcomed(as = asked.mallory): Promise<HostileVkernel> {
  const evil = new HostileVkernel({ sockets, ...as });
  try {
    await evil.welcomed;
  } catch (error) {
    evil.close();
    throw error;
  }
  return evil;
}

async function withFiles(): Promise<void> {
  const evil = await welcomed();
  const { vmspace } = await evil.process(++pid);
  const { fd } = await evil.open(vmspace, 'board');
  evil.lay(fd, 4 * 4096);
  attempt('cut to 0', () => ftruncateSync(fd, 0));
  attempt('cut to a page', () => ftruncateSync(fd, 4096));
  attempt('made longer', () => ftruncateSync(fd, 1 << 30));
  attempt('opened again for writing', () => openSync(`/proc/self/fd/${fd}`, 'r+'));
  attempt('cut when opened', () => openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_TRUNC));
  attempt('mode changed', () => chmodSync(`/proc/self/fd/${fd}`, 0o666));
  const readMe = await evil.open(vmspace, 'read-me');
  const own = `/proc/self/fd/${readMe.fd}`;
  attempt('read-only: opened again for writing', () => openSync(own, 'r+'));
  const write = Prot.READ | Prot.WRITE;
  attempt('read-only: mapped for writing', () => mmap(0n, 4096, write, MapFlag.SHARED, readMe.fd, 0));
  attempt('read-only: written', () => writeSync(readMe.fd, 'x', 0));
  attempt('read-only: punched', () => punchHole(readMe.fd, 0, 4096));
  await ends('a dataspace of bob', async () => {
    const opened = await evil.ask({ case: 'open', value: { vmspace, name: 'bobs' } });
    if (opened?.case === 'failed') throw new RpcError(opened.value.code as Code, opened.value.reason);
    return opened?.case;
  });
  evil.say(0n, { case: 'vmspaceMcontrol', value: { vmspace, advice: 77 as never } });
  await ends('a message against its rules', async () => {
    throw await evil.ended;
  });
  evil.close();
}

/** The line to the supervisor, without the token that this gave to nobody. */
function attach(): Promise<void> {
  useToken(asked.mallory.token);
  const stream = openStream(ControlService.method.attach, `unix:${sockets.control}`);
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('data', () => resolve());
    const value = { name: 'bob/default', token: 'guessed', wire: wireSpoken() };
    stream.write(create(AttachRequestSchema, { event: { case: 'hello', value } }));
  });
}

await withFiles();
attempt('socket of a hand-over', () => statSync(join(sockets.folder, '..', 'handover.sock')));
attempt('signal to pmapd', () => process.kill(asked.pmapdPid, 'SIGTERM'));
await ends('as bob', () => welcomed(asked.bob));
await ends('as a virtual kernel of ours at vkerneld', attach);
said.sessions = await sayByChance(asked, async () => {
  const evil = await welcomed();
  return { evil, known: await evil.known(++pid, 'board') };
});
connect(report, function (this: Socket) {
  this.end(JSON.stringify(said), () => process.exit(0));
});
