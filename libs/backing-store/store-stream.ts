// The stream of a backing store: looked up first, and made where it never was.
//
// JetStream counts what a stream may grow to against its limit when the stream is made, and it counts anew when somebody
// asks again for one that is there: so nobody asks twice. A server whose limit became too small (by default it is a part
// of the disk that is free at its start) starts without the stream; to make a smaller one in its place could cost what is
// stored, so where a ledger says that there was one, nothing is made.
import { apiCode, jetStreamError, troubleOf } from '@odonata/bus/jetstream-error.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import { type JetStreamManager, StorageType, type StreamConfig } from 'nats';
import { bytesToOffer, DEFAULT_STORE_BYTES, LEAST_STORE_BYTES } from './store-bytes.ts';

const NO_STREAM = 10059;
const NAME_IN_USE = 10058;

/** Outlives the stream: whether it was made, and how large. */
export interface Ledger {
  read(): Promise<number | undefined>;
  note(bytes: number): Promise<void>;
}

export interface StreamOptions {
  cluster: string;
  replicas: number;
  /** 0: DEFAULT_STORE_BYTES, or as much less as fits. A larger number than that of a stream that is there makes it grow. */
  bytesMax: number;
  ledger?: Ledger;
  warn?: (line: string, error: unknown) => void;
}

export const streamOf = (cluster: string): string => `odonata-${cluster}-pages`;

/** True: the stream is not there. */
export const isMissing = (error: unknown): boolean => apiCode(error) === NO_STREAM;

/** @throws RpcError, NatsError */
export async function openStream(manager: JetStreamManager, options: StreamOptions): Promise<void> {
  const { ledger, bytesMax, cluster, replicas, warn } = options;
  const found = await lookUp(manager, cluster);
  if (found === undefined) {
    await expectNeverMade(ledger);
    await make(manager, options);
    return;
  }
  const grows = bytesMax > found.max_bytes || replicas > found.num_replicas;
  if (grows) {
    const wider = {
      ...{ max_bytes: Math.max(bytesMax, found.max_bytes) },
      num_replicas: Math.max(replicas, found.num_replicas),
    };
    try {
      await manager.streams.update(streamOf(cluster), wider);
    } catch (error) {
      warn?.('the backing store stays as it is: NATS does not let it grow', error);
    }
  }
  // A store of an earlier version has no entry.
  if (ledger !== undefined && (await ledger.read()) === undefined) await ledger.note(found.max_bytes);
}

async function lookUp(manager: JetStreamManager, cluster: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(streamOf(cluster))).config;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** @throws RpcError FAILED_PRECONDITION: what was stored is not to be had now, which is not the same as never stored */
export async function expectNeverMade(ledger: Ledger | undefined): Promise<void> {
  const bytes = await ledger?.read();
  if (bytes === undefined) return;
  throw tryAgain(
    Code.Unavailable,
    `the backing store (${bytes} bytes) was made, and NATS does not have it now: give nats-server a max_file_store of at least ${bytesToOffer(bytes)} bytes and start it again`,
  );
}

async function make(manager: JetStreamManager, options: StreamOptions): Promise<void> {
  const sizes = options.bytesMax === 0 ? sizesToTry() : [options.bytesMax];
  for (const bytes of sizes) {
    try {
      await add(manager, options, bytes);
      await options.ledger?.note(bytes);
      return;
    } catch (error) {
      if (error instanceof RpcError || troubleOf(error) !== 'NO_SPACE') throw error;
      if (bytes === sizes.at(-1)) throw tooSmall(bytes, error);
    }
  }
}

function* halves(): Generator<number> {
  for (let bytes = DEFAULT_STORE_BYTES; bytes >= LEAST_STORE_BYTES; bytes /= 2) yield bytes;
}
const sizesToTry = (): number[] => [...halves()];

async function add(manager: JetStreamManager, { cluster, replicas }: StreamOptions, bytes: number) {
  const name = streamOf(cluster);
  try {
    await manager.streams.add({
      name,
      subjects: [`odonata.${cluster}.pages.>`],
      storage: StorageType.File,
      max_msgs_per_subject: 1,
      max_bytes: bytesToOffer(bytes),
      discard: 'new' as never,
      num_replicas: replicas,
      allow_direct: false,
    });
  } catch (error) {
    // Another node was faster.
    if (apiCode(error) === NAME_IN_USE) return;
    throw error;
  }
  await manager.streams.update(name, { max_bytes: bytes });
}

function tooSmall(bytes: number, error: unknown): RpcError {
  const needs = `the backing store of ${bytes} bytes needs ${bytesToOffer(bytes)} bytes of NATS's file store, which has less left`;
  const fix =
    'raise max_file_store of nats-server (by default three quarters of the disk that is free at its start), or make a smaller store: vkctl up --store SIZE, pmapd --store-bytes';
  const { details } = jetStreamError(error, 'NATS');
  return new RpcError(Code.ResourceExhausted, `${needs}; ${fix} (${details.match(/\((.*?)\)/)?.[1]})`, {
    cause: error,
  });
}
