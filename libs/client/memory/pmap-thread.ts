// The thread that has the pmap of a program: its session with the node's pmap manager, its vmspaces. Whoever touches what is
// mapped waits in a fault until this thread, or the one of its faults, has it served; so none of the two ever touches it.
import { parentPort, workerData } from 'node:worker_threads';
import { createPmap } from '@odonata/pmap/pmap.ts';
import type { Pmap } from '@odonata/pmap/pmap-interface.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { useTls } from '@odonata/rpc/identity/own.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { MappedDataspaces } from './mapped-dataspaces.ts';
import { failureOf } from './pmap-failure.ts';
import type { PmapReport, PmapRequest, PmapThreadData } from './pmap-messages.ts';

const data = workerData as PmapThreadData;
const port = parentPort!;
const tell = (report: PmapReport): void => port.postMessage(report);

/** Codes with which it is of no use to try again. */
const FINAL: ReadonlySet<number> = new Set([
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.InvalidArgument,
  Code.FailedPrecondition,
  Code.ResourceExhausted,
]);

let refused: (error: RpcError) => void = () => {};
let lastRefusal: RpcError | undefined;

/** @throws RpcError what it was refused with; UNAVAILABLE where nobody answers in time */
async function admitted(): Promise<Pmap> {
  const { address, userfaultSocket, name, tlsDir, deadlineMs } = data;
  useTls(tlsDir ?? '');
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    refused = (error) => {
      lastRefusal = error;
      if (FINAL.has(error.code)) reject(error);
    };
    const give = () => {
      const why = lastRefusal === undefined ? '' : `: ${lastRefusal.details}`;
      reject(new RpcError(Code.Unavailable, `the pmap manager at ${address} does not let us in${why}`));
    };
    timer = setTimeout(give, deadlineMs);
  });
  const program = { tlsDir, onRefused: (error: RpcError) => refused(error) };
  try {
    return await Promise.race([
      createPmap({ address, userfaultSocket, name, log: silentLog(), program }),
      late,
    ]);
  } finally {
    clearTimeout(timer);
    refused = () => {};
  }
}

const pmap = admitted();
pmap.catch(() => {}); // Whoever asks first is told.
const mapped = new MappedDataspaces(pmap, (broken, signal, reason) => tell({ broken, signal, reason }));

async function run({ call, args }: PmapRequest): Promise<unknown> {
  switch (call) {
    case 'open':
      return await mapped.open(args);
    case 'map':
      return { buffer: await mapped.get(args.handle).map(args.writable) };
    case 'lock':
      return await mapped.get(args.handle).lock(args.range, args.mode, args.timeoutMs);
    case 'unlock':
      return await mapped.get(args.handle).unlock(args.range);
    case 'sync':
      return await mapped.get(args.handle).sync(args.offset, args.length);
    case 'wait':
      return { wait: await mapped.wait(args.handle, args.offset, args.timeoutMs) };
    case 'waited':
      return { woken: await mapped.waited(args.wait) };
    case 'cancelWait':
      return mapped.cancelWait(args.wait);
    case 'wake':
      return { woken: await mapped.get(args.handle).wake(args.offset, args.count) };
    case 'close':
      return await mapped.close(args.handle);
    case 'end':
      return await end();
  }
}

async function end(): Promise<void> {
  letGo('it was closed');
  await mapped.closeAll();
  await pmap.then((made) => made.close()).catch(() => {});
}

/** Nobody waits in a fault from now on. */
function letGo(reason: string): void {
  mapped.breakAll('SIGKILL', reason);
  Atomics.store(data.ended, 0, 1);
  Atomics.notify(data.ended, 0);
}

// Whoever waits in a fault would wait for ever.
process.on('uncaughtException', (error) => {
  letGo(`the thread of its faults failed: ${String(error)}`);
  throw error;
});

port.on('message', (request: PmapRequest) => {
  void run(request).then(
    (result) => tell({ id: request.id, result }),
    (error) => tell({ id: request.id, failure: failureOf(error) }),
  );
});
