// Loads, stored: `load-rules.ts` says what; here it becomes a step of the table of names.
import type { Decide, NameStep } from '@odonata/coherency/names/name-table.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
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

/** What became of the record. */
type Stored = { record: DataspaceRecord } | 'removed';

export class Loads {
  private readonly registry: Registry;
  private readonly service: Pick<CoherencyService, 'expectUnmapped'>;
  private readonly userDataspaces: number;

  /** @param userDataspaces that one user may own */
  constructor(registry: Registry, service: Pick<CoherencyService, 'expectUnmapped'>, userDataspaces: number) {
    this.registry = registry;
    this.service = service;
    this.userDataspaces = userDataspaces;
  }

  begin(wanted: BegunLoad, by: Requester): Promise<DataspaceRecord> {
    const answer = (stored: Stored) => (stored as { record: DataspaceRecord }).record;
    return this.registry.ask(
      wanted.name,
      this.stored((known) => beginLoad(known, wanted, by), answer),
    );
  }

  async end(ended: EndedLoad): Promise<void> {
    const decide = this.stored(
      (known) => endLoad(known, ended),
      () => true as const,
    );
    await this.registry.ask(ended.name, decide);
  }

  abandon(about: NamedLoad): Promise<Abandoned> {
    const answer = (stored: Stored) => ({ removed: stored === 'removed' });
    return this.registry.ask(
      about.name,
      this.stored((known) => abandonLoad(known, about), answer),
    );
  }

  private stored<Answer>(
    decide: (known: DataspaceRecord | undefined) => LoadStep<Answer>,
    answer: (stored: Stored) => Answer,
  ): Decide<DataspaceRecord, Answer> {
    return (known) => this.step(decide(known), answer);
  }

  private step<Answer>(
    step: LoadStep<Answer>,
    answer: (stored: Stored) => Answer,
  ): NameStep<DataspaceRecord, Answer> {
    const { registry } = this;
    const told = (record: DataspaceRecord) => answer({ record });
    switch (step.do) {
      case 'answer':
        return step;
      case 'make':
        if (step.countsFor !== undefined) registry.expectQuota(step.countsFor, this.userDataspaces);
        return registry.make(step.record, told);
      case 'make-anew': {
        this.service.expectUnmapped(step.instead);
        const next = registry.make(step.record, told, { instead: true });
        return { do: 'remove', answer: () => answer('removed'), next };
      }
      case 'remove':
        return { do: 'remove', answer: () => answer('removed') };
      case 'mark': {
        const { load: _, loaded: __, ...same } = step.record;
        const { says } = step;
        const tell = (record: DataspaceRecord): Answer => {
          if (says !== undefined) throw says;
          return told(record);
        };
        return { do: 'change', record: { ...same, ...step.marks }, answer: tell };
      }
    }
  }
}
