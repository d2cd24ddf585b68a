// Answers to a virtual kernel that come with a memory file: the descriptor is sent first, on a connection of its own, so it is
// there when the answer is heard. Where too many are on their way, because the virtual kernel does not take them, the answer
// waits for a while; other answers pass.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PmapEventSchema } from '@odonata/proto/pmap/v1/pmap';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { DescriptorSender } from '@odonata/userfault/descriptor-line.ts';
import { dataspaceLabel, imageLabel, vmspaceLabel } from '@odonata/userfault/memory-label.ts';
import type { Image } from '../frames/images.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import type { Vmspace } from './vmspace.ts';

type PmapEventInit = MessageInitShape<typeof PmapEventSchema>;

/** Answers of one virtual kernel that wait, and for how long. */
export const WAITING_MAX = 1_024;
const WAITING_MS = 5_000;
const AGAIN_MS = 2;

/** What answers can be about. */
export interface Files {
  dataspace(id: bigint): SharedDataspace | undefined;
  vmspace(id: bigint): Vmspace | undefined;
  image(id: bigint): Image | undefined;
}

export class DescriptorOutbox {
  private readonly files: Files;
  private readonly limited: (reason: string) => void;
  private readonly write: (events: PmapEventInit[]) => void;
  private sender: DescriptorSender | undefined;
  private readonly waiting: { event: PmapEventInit; untilMs: number }[] = [];
  private timer: NodeJS.Timeout | undefined;
  private readonly againLater: () => void;

  /**
   * @param end a bug in what waits ends the session
   * @param limited an answer was refused, since too many wait
   */
  constructor(
    files: Files,
    write: (events: PmapEventInit[]) => void,
    end?: (error: RpcError) => void,
    limited: (reason: string) => void = () => {},
  ) {
    this.files = files;
    this.limited = limited;
    this.write = write;
    this.againLater = ownTurn({ timer: 'descriptors' }, () => this.again(), end);
  }

  /** From now on descriptors go there; undefined: nowhere, and what needs one is refused. */
  use(sender: DescriptorSender | undefined): void {
    this.sender?.close();
    this.sender = sender;
  }

  /** What of these may be written now, in order. */
  pass(events: PmapEventInit[]): PmapEventInit[] {
    // Most have none.
    if (!events.some((event) => carries(event))) return events;
    return events.flatMap((event) => {
      const passed = this.waiting.length === 0 ? this.send(event) : carries(event) ? undefined : event;
      if (passed !== undefined) return [passed];
      if (this.waiting.length >= WAITING_MAX) {
        this.limited(
          `${WAITING_MAX} answers with memory files wait, since it does not take the files; is it stopped?`,
        );
        return [refused(event, 'too many answers wait for it')];
      }
      this.waiting.push({ event, untilMs: monotonicMs() + WAITING_MS });
      this.timer ??= setTimeout(this.againLater, AGAIN_MS);
      return [];
    });
  }

  /** @returns what to write; undefined: its descriptor has to wait */
  private send(about: PmapEventInit): PmapEventInit | undefined {
    const { sender } = this;
    const { event } = about;
    if (event?.case !== 'opened' && event?.case !== 'vmspaceCreated' && event?.case !== 'imageLaid')
      return about;
    if (event.case === 'imageLaid' && event.value.image === 0n) return about;
    if (sender === undefined) return refused(about, 'it opened no connection for descriptors');
    try {
      if (event.case === 'vmspaceCreated') {
        const id = event.value.vmspace ?? 0n;
        const sent = this.files.vmspace(id)?.withDescriptor((fd) => sender.send(vmspaceLabel(id), fd));
        return sent === false ? undefined : sent === undefined ? refused(about, 'it is gone') : about;
      }
      if (event.case === 'imageLaid') {
        const image = event.value.image ?? 0n;
        const sent = this.files.image(image)?.withDescriptor((fd) => sender.send(imageLabel(image), fd));
        return sent === false ? undefined : sent === undefined ? refused(about, 'it is gone') : about;
      }
      const { dataspace: id = 0n, readOnly = false } = event.value;
      const file = this.files.dataspace(id)?.file;
      if (file === undefined) return refused(about, 'the dataspace was removed', Code.NotFound);
      const sent = file.withDescriptor(readOnly, (fd) => sender.send(dataspaceLabel(id, readOnly), fd));
      return sent ? about : undefined;
    } catch (error) {
      // The connection broke, or this process has no descriptor left.
      return refused(about, String(error));
    }
  }

  private again(): void {
    this.timer = undefined;
    const nowMs = monotonicMs();
    const ready: PmapEventInit[] = [];
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      const late = nowMs > next.untilMs;
      const passed = late ? refused(next.event, 'it does not take descriptors') : this.send(next.event);
      if (passed === undefined) break;
      this.waiting.shift();
      ready.push(passed);
    }
    if (this.waiting.length > 0) this.timer = setTimeout(this.againLater, AGAIN_MS);
    if (ready.length > 0) this.write(ready);
  }

  /** What waits still, for another pmap manager, or for the next stream. */
  take(): PmapEventInit[] {
    clearTimeout(this.timer);
    this.timer = undefined;
    return this.waiting.splice(0).map(({ event }) => event);
  }

  close(): void {
    this.take();
    this.use(undefined);
  }
}

const carries = ({ event }: PmapEventInit): boolean =>
  event?.case === 'opened' || event?.case === 'vmspaceCreated' || event?.case === 'imageLaid';

function refused(
  { request }: PmapEventInit,
  why: string,
  code: number = Code.ResourceExhausted,
): PmapEventInit {
  const reason = `no memory file comes to the virtual kernel: ${why}`;
  return { ...(request !== undefined && { request }), event: { case: 'failed', value: { code, reason } } };
}
