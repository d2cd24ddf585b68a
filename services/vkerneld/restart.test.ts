import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EventService } from '@odonata/proto/event/v1/event';
import { ProcessState, VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import type { Client } from '@odonata/rpc/client.ts';
import { createClient } from '@odonata/rpc/client.ts';
import { startTicksOf } from '@odonata/rpc/process-stat.ts';
import { afterEach, beforeEach, expect, it } from 'vitest';

/** The supervisor as a process of its own, so that it can be killed. */
const here = fileURLToPath(new URL('.', import.meta.url));
let address: string;
let folder: string;
let daemon: ChildProcess;
let client: Client<typeof VkernelService>;

async function startDaemon(drainMs = 0): Promise<void> {
  const code = `
    import { createLog } from '@odonata/rpc/log.ts';
    import { runService } from '@odonata/rpc/lifecycle.ts';
    import { serveVkerneld } from './serve.ts';
    const log = createLog('vkerneld', 'fatal');
    runService({ name: 'vkerneld', log, stopMs: ${drainMs + 8_000}, start: async () => {
      const v = await serveVkerneld({ node: 'n', nodeIndex: 1, listen: '127.0.0.1:0', syslink: '127.0.0.1:1',
        allowDir: [], allowListen: [], allowConnect: [], allowUnconfined: [],
        homeDir: '', programsDir: '', hideDir: [], programMemory: 2 ** 32,
      unconfined: false, pmapdDir: '', tlsDir: '', vkernelUids: 0, controlGroup: '', lodges: false, parkAfterMs: 0, drainMs: ${drainMs}, logLevel: 'fatal', metricsListen: '', eventsFile: '', traceOtlp: '', traceSample: 0, socketDir: ${JSON.stringify(join(folder, 's'))} }, log,
        ${JSON.stringify(join(here, 'stand-in-vkernel.ts'))});
      process.on('SIGHUP', () => v.leave().then(() => process.exit(0)));
      console.log(v.address);
      return (how) => v.stop(how);
    } });`;
  daemon = spawn(process.execPath, ['--input-type=module-typescript', '-e', code], {
    cwd: here,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(daemon, 'exit').then(([code]) => {
    throw new Error(`vkerneld ended at its start: exit ${code}`);
  });
  ended.catch(() => {}); // Later it is meant.
  const [said] = (await Promise.race([once(daemon.stdout!, 'data'), ended])) as [Buffer];
  address = said.toString().trim();
  client = createClient(VkernelService, address);
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vkerneld-'));
  await startDaemon();
});
afterEach(async () => {
  client.close();
  if (daemon.exitCode === null && daemon.signalCode === null) {
    daemon.kill('SIGTERM');
    await once(daemon, 'exit');
  }
  await rm(folder, { recursive: true });
});

async function start(name: string): Promise<bigint> {
  async function* requests() {
    yield { event: { case: 'start' as const, value: { name, module: new Uint8Array(1), detach: true } } };
    await delay(5_000);
  }
  for await (const { event } of client.run(requests())) {
    if (event.case === 'started') return event.value.pid;
  }
  throw new Error('not started');
}

async function stateOf(pid: bigint): Promise<ProcessState | undefined> {
  return (await client.listProcesses({})).processes.find((p) => p.pid === pid)?.state;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`never: ${condition}`);
    await delay(20);
  }
}

async function killDaemon(signal: 'SIGKILL' | 'SIGHUP' = 'SIGKILL'): Promise<void> {
  client.close();
  daemon.kill(signal);
  await once(daemon, 'exit');
}

it.each([
  ['killed', 'SIGKILL'],
  ['told to leave', 'SIGHUP'],
] as const)(
  '%s and started again: the virtual kernel and its processes go on under the new one',
  async (_how, signal) => {
    const pid = await start('wait');
    const echo = await start('echo');
    const [before] = (await client.listVkernels({})).vkernels;
    await killDaemon(signal);
    await startDaemon();
    const attached = async () => {
      // The new supervisor ends the input of what runs, so that nothing waits for a caller that is gone; unless the old one
      // saw that still, and the end of the process.
      const [running, echoing] = [await stateOf(pid), await stateOf(echo)];
      return running === ProcessState.RUNNING && (echoing ?? ProcessState.EXITED) === ProcessState.EXITED;
    };
    await until(attached);
    expect(await stateOf(pid)).toBe(ProcessState.RUNNING);
    const [after] = (await client.listVkernels({})).vkernels;
    expect(after).toMatchObject({ name: 'default', hostPid: before!.hostPid, processes: 1 });
    const next = await start('wait');
    expect(next).toBe(100_003n);
    await client.kill({ pid, signal: 'SIGTERM' });
    await until(async () => (await stateOf(pid)) === ProcessState.EXITED);
    expect(await stateOf(next)).toBe(ProcessState.RUNNING);
    daemon.kill('SIGTERM');
    await once(daemon, 'exit');
    expect(startTicksOf(after!.hostPid)).toBeUndefined();
  },
);

it('a virtual kernel that ended meanwhile is seen as ended', async () => {
  const pid = await start('wait');
  const { hostPid } = (await client.listVkernels({})).vkernels[0]!;
  await killDaemon();
  process.kill(hostPid, 'SIGKILL');
  await until(async () => startTicksOf(hostPid) === undefined);
  await startDaemon();
  expect(await stateOf(pid)).toBe(ProcessState.EXITED);
  const listed = (await client.listProcesses({})).processes[0];
  expect(listed).toMatchObject({ command: ['wait'], exit: { reason: 'virtual kernel default: ended' } });
  const told = createClient(EventService, address);
  const { events } = await told.listEvents({ pageSize: 10, kinds: ['vkernel-died'] });
  told.close();
  expect(events.map(({ text }) => text)).toEqual([
    'virtual kernel default died while its supervisor was away',
  ]);
  expect(await start('wait')).toBe(pid + 1n);
});

it('told to stop, it lets what runs come to its end, and starts nothing more', async () => {
  await killDaemon();
  await startDaemon(60_000);
  const pid = await start('wait');
  daemon.kill('SIGTERM');
  const ended = once(daemon, 'exit');
  await expect(until(async () => (await start('wait')) === 0n)).rejects.toThrow(/UNAVAILABLE.*stopping/s);
  expect(await stateOf(pid)).toBe(ProcessState.RUNNING);
  // Some may have been started before it heard the signal.
  for (const each of (await client.listProcesses({})).processes)
    if (each.state !== ProcessState.EXITED) await client.kill({ pid: each.pid, signal: 'SIGTERM' });
  expect(await ended).toEqual([0, null]);
});

it('told to stop at once, it ends what runs', async () => {
  await killDaemon();
  await startDaemon(60_000);
  await start('wait');
  const { hostPid } = (await client.listVkernels({})).vkernels[0]!;
  daemon.kill('SIGINT');
  expect(await once(daemon, 'exit')).toEqual([0, null]);
  expect(startTicksOf(hostPid)).toBeUndefined();
});
