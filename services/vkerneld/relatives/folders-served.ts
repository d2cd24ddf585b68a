// Folders of this node's machine for programs on other nodes: each is opened as for a program here, by what this node allows, and goes as
// a descriptor to the virtual kernel of the same person and name, which does what is asked. Its supervisor never does, with its rights.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FileAnswer, FolderResponse } from '@odonata/proto/vkernel/v1/files';
import type {
  OpenFolderRequest,
  OpenFolderResponseSchema,
  OpenFolderStart,
} from '@odonata/proto/vkernel/v1/peer';
import type { DirectoryGrant } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { BoundedQueue } from '@odonata/rpc/queue.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import { type AllowedDirectories, closeGrants, type OpenGrant } from '../allowed-directories.ts';
import type { Homes } from '../homes.ts';
import { folderLabel } from '../vkernel/descriptor-label.ts';
import type { VkernelChild } from '../vkernel-child.ts';
import type { Vkernels } from '../vkernels.ts';

/** Folders that are open here for others, and those of one person. */
const FOLDERS_MAX = 1_024;
const FOLDERS_OF_ONE_MAX = 256;
/** Of one folder: calls that have no answer that was taken, and what these move. More wait with whoever asks. */
const CALLS_MAX = 64;
const BYTES_MAX = 1 << 20;
const CALL_BYTES = 256;

type Response = MessageInitShape<typeof OpenFolderResponseSchema>;

interface Served {
  readonly child: VkernelChild;
  opened: () => void;
  readonly answers: BoundedQueue<FileAnswer>;
  /** What each call moves that has no answer yet. */
  readonly underWay: Map<number, number>;
  bytes: number;
  /** There is room for more. */
  wake: () => void;
}

export class FoldersServed {
  readonly #vkernels: Vkernels;
  readonly #directories: AllowedDirectories;
  readonly #homes: Homes | undefined;
  readonly #served = new Map<number, Served>();
  #last = 0;

  constructor(place: { vkernels: Vkernels; directories: AllowedDirectories; homes?: Homes | undefined }) {
    this.#vkernels = place.vkernels;
    this.#directories = place.directories;
    this.#homes = place.homes;
  }

  /** For a node that asks. @throws RpcError */
  async *serve(requests: AsyncIterable<OpenFolderRequest>, ctx: CallContext): AsyncGenerator<Response> {
    const iterator = requests[Symbol.asyncIterator]();
    const first = await iterator.next();
    if (first.done || first.value.event.case !== 'start')
      throw new RpcError(Code.InvalidArgument, 'the first request must say which folder');
    const { asker, folder } = first.value.event.value;
    const { user, groups, vkernel } = asker!;
    this.#expectRoom(user);
    // What is refused is refused before anything starts for it.
    if (!folder!.home) closeGrants(this.#directories.open([asked(folder!)]));
    const child = await this.#vkernels.demand(vkernel, { user, groups }, ctx.signal);
    this.#expectRoom(user);
    this.#last = (this.#last % 0x7fff_ffff) + 1;
    const number = this.#last;
    const answers = new BoundedQueue<FileAnswer>({ name: 'answers of a folder', capacity: CALLS_MAX });
    const opened = Promise.withResolvers<void>();
    const nothing = () => {};
    const served: Served = {
      ...{ child, opened: opened.resolve, answers, underWay: new Map(), bytes: 0, wake: nothing },
    };
    const end = (error: RpcError): void => {
      opened.reject(error);
      answers.fail(error);
      served.wake();
    };
    opened.promise.catch(nothing);
    const away = () => end(new RpcError(Code.Cancelled, 'the caller went away'));
    ctx.signal.addEventListener('abort', away, { once: true });
    this.#served.set(number, served);
    void child.gone.then(() => end(new RpcError(Code.Unavailable, 'its virtual kernel ended')));
    try {
      ctx.signal.throwIfAborted();
      await this.#give(child, number, first.value.event.value);
      await opened.promise;
      yield { event: { case: 'opened', value: {} } };
      this.#passOn(iterator, number, served).then(
        () => answers.close(),
        (error) => end(RpcError.is(error) ? error : new RpcError(Code.Internal, String(error))),
      );
      for await (const answer of answers) {
        yield { event: { case: 'answer', value: answer } };
        served.bytes -= served.underWay.get(answer.number) ?? 0;
        served.underWay.delete(answer.number);
        served.wake();
      }
    } finally {
      ctx.signal.removeEventListener('abort', away);
      this.#served.delete(number);
      away();
      tell(child, number, { case: 'close', value: {} });
    }
  }

  /** What a virtual kernel says of a folder that it serves. */
  receive(child: VkernelChild, { folder, event }: FolderResponse): void {
    const served = this.#served.get(folder);
    if (served?.child !== child) return;
    if (event.case === 'opened') served.opened();
    else if (event.case === 'gone')
      served.answers.fail(new RpcError(Code.Unavailable, 'its virtual kernel has it no more'));
    // What nobody asked for is dropped.
    else if (event.case === 'answer' && served.underWay.has(event.value.number) && !served.answers.ended)
      served.answers.offer(event.value);
  }

  /** Its line is another one: it has nothing any more. */
  lost(child: VkernelChild): void {
    for (const served of this.#served.values())
      if (served.child === child)
        served.answers.fail(new RpcError(Code.Unavailable, 'its virtual kernel has it no more'));
  }

  #expectRoom(user: string): void {
    const theirs = [...this.#served.values()].filter(({ child }) => child.user === user).length;
    if (this.#served.size < FOLDERS_MAX && theirs < FOLDERS_OF_ONE_MAX) return;
    throw new RpcError(Code.ResourceExhausted, 'too many folders are open here for programs of other nodes');
  }

  async #give(child: VkernelChild, number: number, { folder }: OpenFolderStart): Promise<void> {
    const idMapping = await child.idMapping();
    const grants: OpenGrant[] = folder!.home
      ? (this.#homes?.open(child.user, [], idMapping) ?? [])
      : this.#directories.open([asked(folder!)], idMapping);
    const [grant] = grants;
    if (grant === undefined) throw new RpcError(Code.NotFound, `${child.user} has no home here`);
    try {
      child.sendDescriptor(folderLabel(number), grant.fd);
      const readOnly = folder!.readOnly || grant.readOnly;
      const value = { readOnly, hidden: grant.hidden, counted: grant.counted ?? false };
      child.send({ case: 'folderRequest', value: { folder: number, event: { case: 'open', value } } });
    } finally {
      closeGrants(grants);
    }
  }

  async #passOn(calls: AsyncIterator<OpenFolderRequest>, folder: number, served: Served): Promise<void> {
    const { underWay, child, answers } = served;
    for (let next = await calls.next(); !next.done; next = await calls.next()) {
      const { event } = next.value;
      if (event.case !== 'call') throw new RpcError(Code.InvalidArgument, 'a call was to follow');
      const { number, data, length } = event.value;
      if (underWay.has(number)) throw new RpcError(Code.InvalidArgument, 'two calls of one number');
      while (!answers.ended && (underWay.size >= CALLS_MAX || served.bytes >= BYTES_MAX))
        await new Promise<void>((resolve) => {
          served.wake = resolve;
        });
      if (answers.ended) return;
      const bytes = Math.max(data.length, length) + CALL_BYTES;
      underWay.set(number, bytes);
      served.bytes += bytes;
      child.send({ case: 'folderRequest', value: { folder, event } });
    }
  }
}

/** Where its program has it is that node's. */
const asked = ({ hostPath, readOnly }: DirectoryGrant) => ({ hostPath, readOnly, guestPath: '/' });

function tell(child: VkernelChild, folder: number, event: { case: 'close'; value: object }): void {
  try {
    child.send({ case: 'folderRequest', value: { folder, event } });
  } catch {
    // Without a line, or over, it has nothing open.
  }
}
