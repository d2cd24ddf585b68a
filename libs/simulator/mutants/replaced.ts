// Pmap managers that go on with what another one had, with one thing wrong.
import { Holder } from '@odonata/coherency/holder/holder.ts';
import type { HeldPagesRun, HolderSnapshot } from '@odonata/coherency/holder/holder-snapshot.ts';
import { REAL_MACHINES, type Wire } from '../world/machines.ts';
import type { Mutant } from './mutant.ts';

abstract class ForgetfulHolder extends Holder {
  override snapshot(): HolderSnapshot {
    const snapshot = super.snapshot();
    const dataspaces = snapshot.dataspaces.map(({ runs, ...of }) => ({ ...of, runs: this.remembered(runs) }));
    return { ...snapshot, dataspaces };
  }

  protected abstract remembered(runs: HeldPagesRun[]): HeldPagesRun[];
}

class ForgetsVersions extends ForgetfulHolder {
  protected remembered(runs: HeldPagesRun[]): HeldPagesRun[] {
    return runs.map(({ page, ...run }) => ({ ...run, page: { ...page, version: 0 } }));
  }
}

class ForgetsWhatWasSent extends ForgetfulHolder {
  protected remembered(runs: HeldPagesRun[]): HeldPagesRun[] {
    return runs.map(({ page, ...run }) => ({ ...run, page: { ...page, retainedVersion: 0 } }));
  }
}

class ForgetsPages extends ForgetfulHolder {
  protected remembered(): HeldPagesRun[] {
    return [];
  }
}

/** Hands a lease over that lasts for longer than it does. */
const longer: Wire['led'] = ({ untilMs, lastEndMs, ...led }) => {
  return REAL_MACHINES.wire.led({ ...led, untilMs: untilMs + 300, lastEndMs: lastEndMs + 300 });
};

/** Forgets what a message does not carry. */
const withoutArrivals: Wire['holder'] = (holder) => {
  const wire = REAL_MACHINES.wire.holder(holder);
  const held = wire.held.map((of) => ({
    ...of,
    pages: of.pages.map((pages) => ({ ...pages, grantVersion: 0n, dataVersion: 0n })),
  }));
  return { ...wire, held };
};

export const REPLACED_MUTANTS: readonly Mutant[] = [
  {
    name: 'writes go on while it is replaced',
    profile: 'replacement',
    machines: {
      memory(ports, shards) {
        const tables = Object.assign(Object.create(ports.tables), { protectAll: () => {} });
        return REAL_MACHINES.memory.call(this, { ...ports, tables }, shards);
      },
    },
  },
  { name: 'does not know what is mapped', profile: 'replacement', duties: { claimFrames: false } },
  {
    name: 'goes on without versions',
    profile: 'replacement',
    machines: { holder: (runsOf) => new ForgetsVersions(runsOf) },
  },
  {
    name: 'goes on without what was sent on',
    profile: 'replacement',
    machines: { holder: (runsOf) => new ForgetsWhatWasSent(runsOf) },
  },
  {
    name: 'goes on without the pages that it had',
    profile: 'replacement',
    machines: { holder: (runsOf) => new ForgetsPages(runsOf) },
  },
  {
    name: 'a lease is longer after it was handed over',
    profile: 'replacement',
    seed: 1_975_743_510,
    machines: { wire: { ...REAL_MACHINES.wire, led: longer } },
  },
  {
    name: 'versions that arrived are not handed over',
    profile: 'replacement',
    machines: { wire: { ...REAL_MACHINES.wire, holder: withoutArrivals } },
  },
];
