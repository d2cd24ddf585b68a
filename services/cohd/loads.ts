// Loads, stored: `load-rules.ts` says what; here it is put into the registry, unless somebody else changed it meanwhile.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import { InOrder } from '@odonata/rpc/in-order.ts';
import type { CoherencyService } from './coherency-service.ts';
import {
  type Abandoned,
  abandonLoad,
  type BegunLoad,
  beginLoad,
  type EndedLoad,
  endLoad,
  type LoadStep,
  type NamedLoad,
} from './load-rules.ts';
import type { DataspaceRecord, Registry } from './registry.ts';

/** Who meets others at one name more often than this gives up. */
const TRIES_MAX = 10;

/** What became of the record; undefined: somebody else changed it, and what they did is known now. */
type Stored = { record: DataspaceRecord } | 'removed' | undefined;

export class Loads {
  private readonly registry: Registry;
  private readonly service: Pick<CoherencyService, 'expectUnmapped'>;
  private readonly userDataspaces: number;
  /** By name. */
  private readonly turns = new InOrder<string>();

  /** @param userDataspaces that one user may own */
  constructor(registry: Registry, service: Pick<CoherencyService, 'expectUnmapped'>, userDataspaces: number) {
    this.registry = registry;
    this.service = service;
    this.userDataspaces = userDataspaces;
  }

  async begin(wanted: BegunLoad, by: Requester): Promise<DataspaceRecord> {
    const decide = (known: DataspaceRecord | undefined) => beginLoad(known, wanted, by);
    return await this.done(wanted.name, decide, (stored) => (stored as { record: DataspaceRecord }).record);
  }

  async end(ended: EndedLoad): Promise<void> {
    await this.done(
      ended.name,
      (known) => endLoad(known, ended),
      () => true,
    );
  }

  async abandon(about: NamedLoad): Promise<Abandoned> {
    const decide = (known: DataspaceRecord | undefined) => abandonLoad(known, about);
    return await this.done(about.name, decide, (stored) => ({ removed: stored === 'removed' }));
  }

  private done<Answer>(
    name: string,
    decide: (known: DataspaceRecord | undefined) => LoadStep<Answer>,
    answer: (stored: NonNullable<Stored>) => Answer,
  ): Promise<Answer> {
    const attempt = async (): Promise<Answer | undefined> => {
      const step = decide(this.registry.get(name));
      if (step.do === 'answer') return step.answer;
      const stored = await this.store(step);
      if (stored === undefined) return undefined;
      if (step.do === 'mark' && step.says !== undefined) throw step.says;
      return answer(stored);
    };
    return this.turns.run(name, () => untilDone(name, attempt));
  }

  private async store(step: Exclude<LoadStep<unknown>, { do: 'answer' }>): Promise<Stored> {
    const { registry } = this;
    switch (step.do) {
      case 'make':
        if (step.countsFor !== undefined) registry.expectQuota(step.countsFor, this.userDataspaces);
        return await this.make(step.record);
      case 'make-anew':
        this.service.expectUnmapped(step.instead);
        return (await registry.removeUnchanged(step.instead)) ? await this.make(step.record) : undefined;
      case 'remove':
        return (await registry.removeUnchanged(step.record)) ? 'removed' : undefined;
      case 'mark': {
        const record = await registry.change(step.record, step.marks);
        return record && { record };
      }
    }
  }

  private async make(wanted: Omit<DataspaceRecord, 'id'>): Promise<Stored> {
    const { record, created } = await this.registry.create(wanted);
    return created ? { record } : undefined;
  }
}

/** @param attempt undefined: another replica was faster, and what it did is known now */
export async function untilDone<T>(name: string, attempt: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const done = await attempt();
    if (done !== undefined) return done;
  }
  throw new RpcError(Code.Aborted, `others change dataspace ${name} at the same time; try again`);
}
