// A node's lines to the replicas of the directory: what pmapd runs (libs/coherency/node/lines/lines.ts), with simulated streams.
import type { LedShard } from '@odonata/coherency/node/lines/led-shard.ts';
import type { Lines } from '@odonata/coherency/node/lines/lines.ts';
import type { LinesAction, LinesEvent, NodeAction } from '@odonata/coherency/node/lines/lines-messages.ts';
import { Alarm } from '../world/alarm.ts';
import { Connection, type HoldingNode } from '../world/connection.ts';
import type { Surroundings } from '../world/surroundings.ts';

const BACKOFF_MS = 30;

/** The node around its lines. */
interface Outside extends HoldingNode {
  readonly clockMs: number;
  readonly localMs: number;
  timer(delayLocalMs: number, work: () => void): void;
  performLine(action: NodeAction): void;
}

export class Holding {
  readonly lines: Lines;
  private readonly world: Surroundings;
  private readonly node: Outside;
  private readonly connections = new Map<number, Connection>();
  /** By replica: the stream, or the attempt to open one. */
  private readonly attempts = new Map<string, { connection: Connection | undefined }>();
  private readonly alarm: Alarm;
  private closed = false;

  constructor(world: Surroundings, node: Outside, lines: Lines) {
    this.world = world;
    this.node = node;
    this.lines = lines;
    this.alarm = new Alarm(node, () => this.tick());
  }

  /** Replicas are at these addresses, and nowhere else. */
  connectTo(addresses: readonly string[]): void {
    this.step({ type: 'replicas', addresses });
  }

  /** @returns true where something came of it */
  step(event: LinesEvent): boolean {
    return !this.closed && this.perform(this.lines.step(event, this.node.clockMs));
  }

  /** Asks the leader of a shard to let this node go. @returns false: there is nobody to ask */
  retire(shard: number): boolean {
    return this.lines.isConnectedTo(shard) && this.step({ type: 'retire', shard });
  }

  private tick(): void {
    if (!this.closed) this.perform(this.lines.tick(this.node.clockMs));
  }

  private perform(actions: readonly LinesAction[]): boolean {
    for (const action of actions) this.performOne(action);
    if (!this.closed) this.alarm.set(this.lines.nextMs);
    return actions.length > 0;
  }

  private performOne(action: LinesAction): void {
    switch (action.type) {
      case 'connect':
        this.connect(action);
        return;
      case 'close': {
        const attempt = this.attempts.get(action.replica);
        this.attempts.delete(action.replica);
        if (attempt?.connection !== undefined) this.close(attempt.connection);
        return;
      }
      case 'send':
        this.connections.get(action.stream)?.tell(action);
        return;
      case 'log':
        this.world.history.note(this.world, this.node.name, action.text, undefined, action.about);
        return;
      case 'unfit':
        throw new Error(action.reason);
      default:
        this.node.performLine(action);
    }
  }

  private connect({ replica, failures }: Extract<LinesAction, { type: 'connect' }>): void {
    const attempt: { connection: Connection | undefined } = { connection: undefined };
    this.attempts.set(replica, attempt);
    const { random } = this.world;
    this.node.timer(failures === 0 ? 0 : random.between(1, BACKOFF_MS), () => {
      if (this.attempts.get(replica) === attempt && !this.closed) this.open(replica, attempt);
    });
  }

  private open(replica: string, attempt: { connection: Connection | undefined }): void {
    const to = this.world.replicas.find(({ address }) => address === replica);
    if (to === undefined) throw new Error(`there is no replica ${replica}`);
    const connection = new Connection(this.world, this.world.nextNumber(), this.node, to);
    attempt.connection = connection;
    this.connections.set(connection.number, connection);
    this.step({ type: 'opened', replica, stream: connection.number });
  }

  private close(connection: Connection): void {
    this.connections.delete(connection.number);
    connection.break();
  }

  heard(connection: Connection, event: Extract<LinesEvent, { type: 'heard' }>['event']): void {
    if (this.connections.has(connection.number))
      this.step({ type: 'heard', stream: connection.number, event });
  }

  broke(connection: Connection): void {
    if (!this.connections.delete(connection.number)) return;
    this.step({ type: 'broke', stream: connection.number, reason: 'it broke' });
  }

  /** Streams that are open. */
  get streams(): Connection[] {
    return [...this.connections.values()];
  }

  /** As they were, for another pmap manager of the node; nothing is said from here on. */
  handOver(): LedShard[] {
    const snapshot = this.lines.snapshot();
    this.end();
    return snapshot;
  }

  /** No stream is left. */
  end(): void {
    this.closed = true;
    for (const connection of [...this.connections.values()]) this.close(connection);
  }
}
