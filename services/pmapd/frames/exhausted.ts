// What the machine has no more of, as an answer to who asked for it; and errnos that say more than codes.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { ofLimit } from '../limit-of.ts';

const FULL = new Set(['ENOSPC', 'EDQUOT', 'ENOMEM']);
const NO_DESCRIPTORS = new Set(['EMFILE', 'ENFILE']);

const codeOf = (error: unknown): string => (error as { code?: unknown } | undefined)?.code as string;

/** True where a file system, or the machine, has no room. */
export const isFull = (error: unknown): boolean => FULL.has(codeOf(error));

export const isOutOfDescriptors = (error: unknown): boolean => NO_DESCRIPTORS.has(codeOf(error));

/** That the tmpfs of a file is full. */
export function refusalOf(path: string): RpcError {
  const fix = 'something else fills it; see: df -h /dev/shm';
  return ofLimit(
    'tmpfs',
    new RpcError(Code.ResourceExhausted, `no space left for the memory file ${path}: ${fix}`),
  );
}

/** An error of a system call that says so, for who asked; undefined: it is another one. */
export function exhaustion(error: unknown, what: string): RpcError | undefined {
  if (error instanceof RpcError) return error;
  if (isOutOfDescriptors(error)) return new NoDescriptors(what);
  if (isFull(error))
    return ofLimit(
      'tmpfs',
      new RpcError(Code.ResourceExhausted, `no room for ${what}: ${String(error)}; see: df -h /dev/shm`),
    );
  return undefined;
}

/** The same; others are thrown on. */
export function exhaustedOr(error: unknown, what: string): RpcError {
  const exhausted = exhaustion(error, what);
  if (exhausted === undefined) throw error;
  return exhausted;
}

/** RESOURCE_EXHAUSTED: of descriptors. */
export class NoDescriptors extends RpcError {
  constructor(what: string) {
    const fix =
      'remove what is not used (vkctl ds rm), or raise the limit of open files (ulimit -Hn) and restart';
    super(Code.ResourceExhausted, `the pmap manager has no descriptor left for ${what}: ${fix}`);
    ofLimit('descriptors', this);
  }
}

/** RESOURCE_EXHAUSTED: of dataspaces that one process has open. */
export class TooManyOpen extends RpcError {
  constructor(pid: bigint, most: number) {
    super(
      Code.ResourceExhausted,
      `process ${pid} has ${most} dataspaces open, the most of one process; what it does not need it need not open, or several processes share the work`,
    );
    ofLimit('open-dataspaces', this);
  }
}

const EDQUOT = 19;
const EINVAL = 28;
const EMFILE = 33;
const ENFILE = 41;

/** The WASI errno of a refusal, where its code says too little; else 0. */
export function errnoFor(error: RpcError): number {
  if (error instanceof NoDescriptors) return ENFILE;
  if (error instanceof TooManyOpen) return EMFILE;
  // It is there otherwise than it was asked for, as of shmget; EEXIST is for who wants to be the one that makes it.
  if (error.code === Code.AlreadyExists && error.detail('google.rpc.BadRequest') !== undefined) return EINVAL;
  return error.detail('google.rpc.QuotaFailure') === undefined ? 0 : EDQUOT;
}
