// The actions of one step of a replica and its shards, in order.
import type { LogLevel, ReplicaAction } from './replica-messages.ts';

export class ReplicaOutbox {
  private actions: ReplicaAction[] = [];

  add(action: ReplicaAction): void {
    this.actions.push(action);
  }

  log(level: LogLevel, text: string, about: Readonly<Record<string, unknown>>): void {
    this.actions.push({ type: 'log', level, text, about });
  }

  take(): ReplicaAction[] {
    const { actions } = this;
    this.actions = [];
    return actions;
  }
}
