import { Random } from '@odonata/simulator/random.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ASSUMPTIONS, type AssumptionName, assume, byDefault } from './assumptions.ts';
import { COST_NAMES, type Costs, missingCosts } from './costs.ts';
import { busyShare, project, serversFor } from './project.ts';
import { utilisation, waiting, waitProbability, waitS } from './queue.ts';
import { ratesOf, stationsOf } from './stations.ts';

const COSTS: Costs = {
  ...{ pmapdFaultUs: 60, cohdAcquireUs: 30, cohdSharerUs: 8, natsDeliveryUs: 5 },
  ...{ cohdHolderCores: 1e-4, cohdPeerCores: 1e-3, cohdStandingCores: 5e-3 },
  ...{ syslinkdCallUs: 60, syslinkdPieceUs: 80, vkerneldListUs: 100, vkerneldStartUs: 2000 },
  ...{ vkernelStartUs: 20_000, vkernelMib: 90 },
};

const queues = fc.record({
  ratePerS: fc.double({ min: 0.01, max: 1e5, noNaN: true }),
  serviceS: fc.double({ min: 1e-6, max: 1, noNaN: true }),
  servers: fc.integer({ min: 1, max: 64 }),
  cv2: fc.double({ min: 0, max: 4, noNaN: true }),
});

describe('a queue', () => {
  test('M/M/1: at half load as long in the queue as in service, at 0.9 nine times', () => {
    expect(waitS({ ratePerS: 50, serviceS: 0.01, servers: 1, cv2: 1 })).toBeCloseTo(0.01, 12);
    expect(waitS({ ratePerS: 90, serviceS: 0.01, servers: 1, cv2: 1 })).toBeCloseTo(0.09, 12);
    expect(waiting({ ratePerS: 50, serviceS: 0.01, servers: 1, cv2: 1 })).toBeCloseTo(0.5, 12);
  });

  test('M/D/1: half of that; M/M/2 at 1 erlang: a third of its arrivals wait', () => {
    expect(waitS({ ratePerS: 50, serviceS: 0.01, servers: 1, cv2: 0 })).toBeCloseTo(0.005, 12);
    expect(waitProbability({ ratePerS: 100, serviceS: 0.01, servers: 2 })).toBeCloseTo(1 / 3, 12);
    expect(waitS({ ratePerS: 100, serviceS: 0.01, servers: 2, cv2: 1 })).toBeCloseTo(0.01 / 3, 12);
  });

  test('a simulation of single arrivals agrees', () => {
    // Lindley: the wait of an arrival from that of the one before. Of a seed, so always the same run.
    const [ratePerS, serviceS] = [70, 0.01];
    const random = new Random(7);
    const exponential = (mean: number): number => -mean * Math.log(1 - random.between(0, 1));
    let [wait, sum] = [0, 0];
    const arrivals = 400_000;
    for (let i = 0; i < arrivals; i++) {
      sum += wait;
      wait = Math.max(0, wait + exponential(serviceS) - exponential(1 / ratePerS));
    }
    const expected = waitS({ ratePerS, serviceS, servers: 1, cv2: 1 });
    expect(Math.abs(sum / arrivals / expected - 1)).toBeLessThan(0.05);
  });

  test('more arrivals: busier, and no shorter wait; more servers: the reverse', () => {
    fc.assert(
      fc.property(queues, fc.double({ min: 1, max: 3, noNaN: true }), (queue, times) => {
        const busier = { ...queue, ratePerS: queue.ratePerS * times };
        expect(utilisation(busier)).toBeGreaterThanOrEqual(utilisation(queue));
        expect(waitS(busier)).toBeGreaterThanOrEqual(waitS(queue) * (1 - 1e-9));
        const larger = { ...queue, servers: queue.servers + 1 };
        expect(utilisation(larger)).toBeLessThan(utilisation(queue));
        expect(waitS(larger)).toBeLessThanOrEqual(waitS(queue) * (1 + 1e-9));
      }),
    );
  });

  test("Little's law holds, and probabilities are some", () => {
    fc.assert(
      fc.property(queues, (queue) => {
        const probability = waitProbability(queue);
        expect(probability).toBeGreaterThanOrEqual(0);
        expect(probability).toBeLessThanOrEqual(1);
        if (utilisation(queue) < 1) expect(waiting(queue)).toBeCloseTo(queue.ratePerS * waitS(queue), 9);
        else expect(waitS(queue)).toBe(Number.POSITIVE_INFINITY);
      }),
    );
  });
});

describe('the stations', () => {
  test('every fault is of one kind', () => {
    const rates = ratesOf(byDefault());
    expect(rates.node + rates.remote + rates.upgrade).toBeCloseTo(rates.faults, 6);
    expect(rates.faults).toBe(100_000 * 0.05 * 100);
  });

  test('the fewest servers at the target: one less is over it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), (nodes) => {
        const assumed = { ...byDefault(), nodes, vkernels: nodes * 100 };
        const cohd = stationsOf(COSTS, assumed).find(({ name }) => name === 'cohd')!;
        const servers = serversFor(cohd, assumed.target);
        if (servers === undefined) expect(busyShare(cohd, cohd.most)).toBeGreaterThan(assumed.target);
        else {
          expect(busyShare(cohd, servers)).toBeLessThanOrEqual(assumed.target);
          if (servers > 1) expect(busyShare(cohd, servers - 1)).toBeGreaterThan(assumed.target);
        }
      }),
    );
  });
});

describe('the projection', () => {
  const of = (changes: Partial<Record<AssumptionName, number>> = {}, costs: Partial<Costs> = {}) =>
    project({ ...COSTS, ...costs }, { ...byDefault(), ...changes });

  test('names the station that carries the smallest cluster', () => {
    const { first, stations } = of();
    expect(first.nodesMost).toBe(Math.min(...stations.map(({ nodesMost }) => nodesMost)));
    // A router that costs a hundredth of a second for a call is it.
    const router = of({ routers: 1 }, { syslinkdCallUs: 10_000 });
    expect(router.first.name).toBe('syslinkd');
    expect(router.first.nodesMost).toBeLessThan(100);
    // All acquires in one shard: its leader is.
    expect(of({ hottest: 1 }, { syslinkdCallUs: 0, syslinkdPieceUs: 0 }).first.name).toMatch(/hottest/);
  });

  test('at the size that a station carries it is at its target, and beyond it over', () => {
    const { stations } = of({ routers: 1 }, { syslinkdCallUs: 400 });
    const { nodesMost } = stations.find(({ name }) => name === 'syslinkd')!;
    const busy = (nodes: number) =>
      of({ routers: 1, nodes, vkernels: nodes * 100 }, { syslinkdCallUs: 400 }).stations.find(
        ({ name }) => name === 'syslinkd',
      )!.utilisation;
    expect(busy(nodesMost)).toBeLessThanOrEqual(0.7);
    expect(busy(Math.ceil(nodesMost * 1.01))).toBeGreaterThan(0.7);
  });

  test('the leases of all holders meet every replica: then more replicas do not help', () => {
    const { stations } = of({}, { cohdHolderCores: 1e-3 });
    const cohd = stations.find(({ name }) => name === 'cohd')!;
    expect(cohd.utilisation).toBeGreaterThan(0.7);
    expect(cohd.nodesMost).toBeLessThan(1000);
  });

  test('more work needs no fewer servers and no smaller utilisation of the hottest shard', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        fc.double({ min: 0, max: 0.4, noNaN: true }),
        (active, more) => {
          const [less, greater] = [of({ active }), of({ active: active + more })];
          for (const [i, station] of less.stations.entries()) {
            expect(greater.stations[i]!.servers).toBeGreaterThanOrEqual(station.servers);
            expect(greater.stations[i]!.nodesMost).toBeLessThanOrEqual(station.nodesMost);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test('memory of the virtual kernels of a node', () => {
    expect(of({ nodeGib: 9 }).memoryShare).toBeCloseTo((100 * 90) / 1024 / 9, 9);
  });
});

describe('what it is told', () => {
  test('assumptions by name', () => {
    expect(assume(['nodes=10', 'remote=0.3'])).toMatchObject({ nodes: 10, remote: 0.3, vkernels: 100_000 });
    expect(Object.keys(byDefault())).toEqual(Object.keys(ASSUMPTIONS));
  });

  test.each([
    ['lunch=1'],
    ['nodes'],
    ['nodes=0'],
    ['nodes=1.5'],
    ['active=2'],
    ['faults=-1'],
    ['faults=x'],
    ['target=1'],
    ['remote=0.99'],
  ])('%s is refused', (text) => {
    expect(() => assume([text])).toThrow(/^--assume /);
  });

  test('costs that are missing are named', () => {
    expect(missingCosts(COSTS)).toEqual([]);
    expect(missingCosts({ cohdAcquireUs: 5, natsDeliveryUs: Number.NaN })).toEqual(
      COST_NAMES.filter((name) => name !== 'cohdAcquireUs'),
    );
  });
});
