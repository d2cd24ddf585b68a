// Instances that run here: each in a virtual kernel of its own, which is made for it and ends with it.
import { create } from '@bufbuild/protobuf';
import { Role } from '@odonata/proto/auth/v1/access';
import { ProgramSpecSchema, type RunRequest, RunRequestSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { KeeperEvent, Start } from '@odonata/services/keeper-messages.ts';
import type { ServiceRecord, ServiceSpec } from '@odonata/services/record.ts';
import type { ExitInit } from '../process-table.ts';
import { type RunPlace, run } from '../run.ts';
import { keyOf } from '../vkernel-child.ts';
import type { Programs } from './programs.ts';
import { vkernelOf } from './service-vkernel.ts';

const LOOK_MS = 100;
const PIECE_BYTES = 1 << 20;

interface Running {
  readonly key: string;
  readonly vkernel: string;
  readonly user: string;
  readonly abort: AbortController;
  pid: bigint | undefined;
  /** Its end was told. */
  over: boolean;
  stopping: Promise<void> | undefined;
  stopMs: number;
}

export class Instances {
  readonly #place: RunPlace;
  readonly #programs: Programs;
  readonly #log: Logger;
  readonly #tell: (event: KeeperEvent) => void;
  readonly #running = new Map<string, Running>();
  /** While there are any. */
  #looking: NodeJS.Timeout | undefined;

  constructor(options: {
    place: RunPlace;
    programs: Programs;
    log: Logger;
    tell: (event: KeeperEvent) => void;
  }) {
    this.#place = options.place;
    this.#programs = options.programs;
    this.#log = options.log;
    this.#tell = options.tell;
  }

  close(): void {
    clearInterval(this.#looking);
    for (const { abort } of this.#running.values()) abort.abort();
  }

  start(start: Start): void {
    const one = this.#add(start, undefined);
    this.#begin(one, start).catch((error) => {
      if (one.abort.signal.aborted) return;
      this.#log.warn({ err: error, service: start.key }, 'an instance did not start');
      this.#end(one, { code: 125, reason: RpcError.is(error) ? error.details : String(error) });
    });
  }

  /** One that an earlier supervisor started. */
  adopt(start: Start & { pid: string }): void {
    const one = this.#add(start, BigInt(start.pid));
    void this.#watchHealth(one, start.service, start.spec);
  }

  /** Ends it, and tells when it is gone. Said again, with less time, that counts. */
  stop(key: string, vkernel: { user: string; name: string }, graceMs: number, why: string): void {
    const one = this.#running.get(key);
    const stopMs = performance.now() + graceMs;
    if (one?.stopping !== undefined) {
      one.stopMs = Math.min(one.stopMs, stopMs);
      return;
    }
    const stopped = async () => {
      await this.#halt(one, keyOf(vkernel), why);
      if (one !== undefined && this.#running.get(key) === one) this.#running.delete(key);
      this.#tell({ type: 'stopped', key });
    };
    if (one !== undefined) one.stopMs = stopMs;
    const stopping = stopped().catch((error) => this.#log.error({ err: error, service: key }, 'not stopped'));
    if (one !== undefined) one.stopping = stopping;
  }

  #add({ key, service, replica }: Start, pid: bigint | undefined): Running {
    const one: Running = {
      ...{ key, vkernel: vkernelOf(service.name, replica), user: service.owner, pid, over: false },
      ...{ abort: new AbortController(), stopping: undefined, stopMs: Number.POSITIVE_INFINITY },
    };
    this.#running.set(key, one);
    this.#looking ??= setInterval(
      ownTurn({ timer: 'instances' }, () => this.#look()),
      LOOK_MS,
    ).unref();
    return one;
  }

  async #begin(one: Running, { service, spec }: Start): Promise<void> {
    const { vkernels } = this.#place;
    const who = { user: one.user, name: one.vkernel };
    const key = keyOf(who);
    const { signal } = one.abort;
    await this.#endVkernel(key, 'another instance takes its place');
    const module = await this.#programs.get(spec.program);
    signal.throwIfAborted();
    vkernels.quotas.setForService(key, who, spec.quota);
    vkernels.save();
    const owner = { user: one.user, groups: service.groups };
    await vkernels.demand(one.vkernel, owner, signal, { forService: true });
    const program = { ...spec.program, module, args: spec.command };
    const { dirs, listen, listenOn, connect } = spec;
    const given = { dirs, listen, listenOn, connect, env: spec.environment };
    const ctx = this.#contextOf(service, signal, one.key);
    for await (const { event } of run(
      this.#place,
      requestsOf({ ...program, ...given }, one.vkernel, true),
      ctx,
    )) {
      if (event?.case !== 'started') continue;
      one.pid = event.value.pid!;
      break;
    }
    if (one.pid === undefined) throw new Error('the program did not start');
    const process = this.#place.table.find(one.pid);
    // Nobody looks at what it writes but its log.
    if (process?.watcher !== undefined) ctx.leave();
    this.#tell({ type: 'began', key: one.key, pid: one.pid.toString() });
    void this.#watchHealth(one, service, spec);
  }

  /** As if its owner had asked. */
  #contextOf(
    { owner, groups }: ServiceRecord,
    signal: AbortSignal,
    requestId: string,
  ): CallContext & { leave(): void } {
    const left = new AbortController();
    const caller = { cluster: '', role: Role.USER, name: owner, groups };
    return {
      ...{
        signal: AbortSignal.any([signal, left.signal]),
        requestId,
        caller,
        scope: 'own',
        peer: 'services',
      },
      log: this.#log.child({ service: requestId }),
      leave: () => left.abort(),
    };
  }

  #look(): void {
    if (this.#running.size === 0) {
      clearInterval(this.#looking);
      this.#looking = undefined;
    }
    for (const one of this.#running.values()) {
      if (one.pid === undefined || one.over) continue;
      const process = this.#place.table.find(one.pid);
      const exit =
        process === undefined ? { code: 137, reason: 'it ended while vkerneld was away' } : process.exit;
      if (exit !== undefined) this.#end(one, exit);
    }
  }

  #end(one: Running, { code = 0, signal = '', reason = '' }: ExitInit): void {
    if (one.over) return;
    one.over = true;
    one.abort.abort();
    const why = reason || (signal === '' ? `it exited with ${code}` : `it ended by ${signal}`);
    this.#tell({ type: 'ended', key: one.key, code, reason: why.slice(0, 1_000) });
  }

  async #halt(one: Running | undefined, key: string, why: string): Promise<void> {
    const { table, vkernels } = this.#place;
    if (one !== undefined && one.pid !== undefined && table.find(one.pid)?.exit === undefined) {
      const process = table.find(one.pid);
      if (process !== undefined && one.stopMs > performance.now())
        vkernels.tell(process, { case: 'signal', value: { pid: one.pid, signal: 'SIGTERM' } });
      while (process?.exit === undefined && performance.now() < one.stopMs) await delay(50);
    }
    if (one !== undefined) one.over = true;
    one?.abort.abort();
    await this.#endVkernel(key, why);
    vkernels.quotas.forgetService(key);
  }

  /** Its virtual kernel, with all that is in it. */
  async #endVkernel(key: string, why: string): Promise<void> {
    const child = this.#place.vkernels.find(key);
    if (child === undefined) return;
    child.endFor(why);
    await child.gone;
  }

  async #watchHealth(one: Running, service: ServiceRecord, spec: ServiceSpec): Promise<void> {
    const { health } = spec;
    const { signal } = one.abort;
    while (health !== undefined && !signal.aborted) {
      const ok = await this.#isHealthy(one, service, { ...health, dirs: spec.dirs });
      if (signal.aborted) return;
      this.#tell({ type: 'checked', key: one.key, ok });
      await delay(health.intervalMs, signal);
    }
  }

  async #isHealthy(
    one: Running,
    service: ServiceRecord,
    { program, args, timeoutMs, dirs }: NonNullable<ServiceSpec['health']> & Pick<ServiceSpec, 'dirs'>,
  ): Promise<boolean> {
    const late = AbortSignal.any([one.abort.signal, AbortSignal.timeout(timeoutMs)]);
    try {
      const module = await this.#programs.get(program);
      const requests = requestsOf({ ...program, module, args, dirs }, one.vkernel, false);
      for await (const { event } of run(
        this.#place,
        requests,
        this.#contextOf(service, late, `${one.key}/health`),
      ))
        if (event?.case === 'exited') return event.value.code === 0;
    } catch (error) {
      this.#log.debug({ err: error, service: one.key }, 'a check of health failed');
    }
    return false;
  }
}

interface Words {
  readonly name: string;
  readonly module: Uint8Array;
  readonly args: readonly string[];
  readonly env?: readonly string[];
  readonly dirs?: ServiceSpec['dirs'];
  readonly listen?: readonly string[];
  readonly listenOn?: readonly string[];
  readonly connect?: readonly string[];
}

async function* requestsOf(words: Words, vkernel: string, detach: boolean): AsyncGenerator<RunRequest> {
  const { name, module, args, env = [], dirs = [], listen = [], listenOn = [], connect = [] } = words;
  const places = { listen: [...listen], listenOn: [...listenOn], connect: [...connect] };
  const said = { name, args: [...args], env: [...env], dirs, ...places };
  const value = create(ProgramSpecSchema, { ...said, vkernel, detach });
  yield create(RunRequestSchema, { event: { case: 'start', value } });
  for (let at = 0; at < module.length; at += PIECE_BYTES)
    yield create(RunRequestSchema, {
      event: { case: 'module', value: module.subarray(at, at + PIECE_BYTES) },
    });
  yield create(RunRequestSchema, { event: { case: 'moduleEnd', value: {} } });
}
