// Who is whose parent on this node: the pure home (libs/processes), with the table of processes on one side and other homes on
// the other. It performs what the home decides, and does what the home's caller owes it.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { WaitResult } from '@odonata/processes/family.ts';
import type { Home, HomeAction } from '@odonata/processes/home.ts';
import { recordText } from '@odonata/processes/record.ts';
import { ChildChange, type ProcessAnsweredSchema, ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { Process, ProcessTable } from '../process-table.ts';
import { Errno } from '../vkernel/wasi/errno.ts';
import type { Vkernels } from '../vkernels.ts';
import type { LostNodes } from './lost-nodes.ts';
import type { Peers } from './peers.ts';
import { replyOf, statusOf, toWire } from './wire.ts';

/** How often homes that have relatives of each other talk. */
const AUDIT_MS = 2_000;
const TELL_MS = 5_000;

export class Relatives {
  readonly home: Home;
  readonly #table: ProcessTable;
  readonly #vkernels: Vkernels;
  readonly #peers: Peers;
  readonly #lostNodes: LostNodes;
  readonly #log: Logger;
  readonly #telling = new Set<number>();
  readonly #timer: NodeJS.Timeout;
  onChanged: () => void = () => {};

  constructor(options: {
    home: Home;
    table: ProcessTable;
    vkernels: Vkernels;
    peers: Peers;
    lostNodes: LostNodes;
    log: Logger;
  }) {
    this.home = options.home;
    this.#table = options.table;
    this.#vkernels = options.vkernels;
    this.#peers = options.peers;
    this.#lostNodes = options.lostNodes;
    this.#log = options.log;
    this.#table.onOver = (process) => this.#ended(process);
    this.#table.onHeld = ({ pid }, signal) => this.changed(this.home.held(pid, signal));
    this.#table.onAdopted = (process) => this.began(process);
    this.#vkernels.homeRecord = () => recordText(this.home.record());
    this.#reconcile();
    const audit = ownTurn({ timer: 'audit' }, () => {
      for (const node of this.home.peers()) this.#tell(node);
    });
    this.#timer = setInterval(audit, AUDIT_MS);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** How many run here. */
  running(): number {
    return this.#table.running().length;
  }

  /** One that was started from outside, or under an earlier supervisor that noted nothing of it. */
  began({ pid }: Process): void {
    if (this.home.find(pid) === undefined) this.home.begin(pid);
    this.changed([]);
  }

  /** After each event of the home: what it decided is done, and kept. */
  changed(actions: readonly HomeAction[]): void {
    this.#vkernels.save();
    for (const action of actions) this.#perform(action);
    for (const node of this.home.takeDirty()) this.#tell(node);
    this.onChanged();
  }

  /** A node is over, and can do nothing that others see. */
  lost(node: number, reason: string): void {
    this.#log.warn({ node }, `processes of a node are lost: ${reason}`);
    this.changed(this.home.lost(node, reason));
  }

  #perform(action: HomeAction): void {
    if (action.do === 'signal') {
      const process = this.#table.find(action.pid);
      if (process === undefined || process.state === ProcessState.EXITED) return;
      this.#vkernels.tell(process, { case: 'signal', value: { pid: action.pid, signal: action.signal } });
      return;
    }
    const { parent: pid, waiter: number, result } = action;
    const process = this.#table.find(pid);
    if (process === undefined) return;
    this.#vkernels.tell(process, { case: 'answered', value: { pid, number, ...answerOf(result) } });
  }

  #ended(process: Process): void {
    const own = this.home.find(process.pid);
    if (own !== undefined) {
      const { parent, group, session } = own;
      process.relatives = { parent, group, session };
    }
    this.changed(this.home.end(process.pid, statusOf(process.exit)));
  }

  /** What the record and the table say after a new start. */
  #reconcile(): void {
    for (const process of this.#table.running()) this.began(process);
    for (const { pid, status } of this.home.record().own) {
      if (status !== undefined) continue;
      const process = this.#table.find(pid);
      if (process !== undefined && process.state !== ProcessState.EXITED) continue;
      const reason = 'ended while its supervisor was away';
      const exit = process?.exit ?? { code: 137, signal: 'SIGKILL', reason };
      this.changed(this.home.end(pid, statusOf(exit)));
    }
  }

  #tell(node: number): void {
    if (this.#telling.has(node)) return;
    this.#telling.add(node);
    this.#told(node)
      .then(() => this.#lostNodes.isThere(node))
      .catch((error: unknown) => this.#notTold(node, error))
      .finally(() => this.#telling.delete(node));
  }

  async #notTold(node: number, error: unknown): Promise<void> {
    this.#log.debug({ err: error, node }, 'another home was not told');
    // What is left for it when it comes back is no reason to ask.
    const isWaited = () =>
      this.home.messagesFor(node).some(({ kind }) => kind === 'audit' || kind === 'exited');
    if (!isWaited() || !(await this.#lostNodes.isLost(node, error)) || !isWaited()) return;
    this.lost(node, `node ${this.#peers.nameOf(node)} is gone, and its lease is over`);
  }

  async #told(node: number): Promise<void> {
    const peer = await this.#peers.byIndex(node);
    // What comes to be meanwhile goes with the next one.
    for (let rounds = 0; rounds < 100; rounds++) {
      const messages = this.home.messagesFor(node).slice(0, 8_192);
      if (messages.length === 0) return;
      const reply = await peer.client.tell(
        { node: this.home.node, messages: messages.map(toWire) },
        { deadlineMs: TELL_MS },
      );
      this.changed(this.home.replied(node, replyOf(messages, reply)));
      if (!this.home.messagesFor(node).some(({ kind }) => kind !== 'audit')) return;
    }
  }
}

function answerOf(
  result: WaitResult,
): Pick<MessageInitShape<typeof ProcessAnsweredSchema>, 'errno' | 'process' | 'exit' | 'change'> {
  if (result.child === undefined) return { errno: result.none ? Errno.success : Errno.child };
  const process = result.child;
  if (!('hold' in result)) return { process, exit: { ...result.status } };
  const { hold: signal } = result;
  return { process, exit: { signal }, change: signal === '' ? ChildChange.CONTINUED : ChildChange.STOPPED };
}
