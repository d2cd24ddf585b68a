// A cluster of this machine that runs, by its name.
import { delay } from '@odonata/rpc/backoff.ts';
import { Code } from '@odonata/rpc/error.ts';
import { expectNotAborted } from '../abort.ts';
import { clientError } from '../client-error.ts';
import type { Credential } from '../credential.ts';
import { credentialHere } from './identity-folder.ts';
import { isRouter, type RunningRecord, readRunning } from './record.ts';
import { stateFolder } from './state-folder.ts';
import { supervisorOf } from './supervisors.ts';

/** Where a cluster is, and who we are there. */
export interface Location {
  readonly cluster: string;
  /** host:port or unix:/path each, with commas between. */
  readonly routers: string;
  readonly credential?: Credential;
}

/** How long a supervisor may take to write a record that somebody deleted. */
const RECORD_MS = 3_000;
const LOOK_MS = 50;

/** What a supervisor tells that runs. @throws RpcError UNAVAILABLE: none runs, it ends, or it tells nothing */
export async function runningRecord(cluster: string, signal?: AbortSignal): Promise<RunningRecord> {
  return await runningRecordAs(cluster, readRunning, signal);
}

/** The same with more of the record, for who knows more of it. */
export async function runningRecordAs<R extends RunningRecord>(
  cluster: string,
  read: (file: string) => R | undefined,
  signal?: AbortSignal,
): Promise<R> {
  const folder = stateFolder(cluster);
  const endMs = performance.now() + RECORD_MS;
  for (;;) {
    expectNotAborted(signal);
    const running = supervisorOf(folder, read);
    if (running?.record?.stopping)
      throw clientError(Code.Unavailable, 'GOES_DOWN', { cluster }, `cluster "${cluster}" goes down`);
    if (running?.record) return running.record;
    if (!running)
      throw clientError(Code.Unavailable, 'NOT_UP', { cluster }, `cluster "${cluster}" is not up`);
    if (performance.now() > endMs) {
      const about = { cluster, supervisor: String(running.identity.pid), file: folder.clusterFile };
      throw clientError(
        Code.Unavailable,
        'NO_RECORD',
        about,
        `cluster "${cluster}" runs (supervisor ${about.supervisor}), but cannot write its record ${about.file}`,
      );
    }
    await delay(LOOK_MS, signal);
  }
}

/**
 * Its routers as this machine reaches them, and who we are there: whoever started it.
 * @throws RpcError FAILED_PRECONDITION for a node of a cluster of another machine
 */
export function locationOf({ plan, services }: Pick<RunningRecord, 'plan' | 'services'>): Location {
  if (plan.member !== undefined) {
    const { cluster: of, node, routers } = plan.member;
    const about = { cluster: plan.cluster, node, of, routers };
    const what = `${node} of cluster "${of}" runs here, and nobody here has a certificate of that cluster (${routers})`;
    throw clientError(Code.FailedPrecondition, 'ONLY_A_NODE', about, what);
  }
  const routers = services.filter(isRouter).map(({ address, socket = address }) => socket);
  return { cluster: plan.cluster, routers: routers.join(), credential: credentialHere(plan) };
}
