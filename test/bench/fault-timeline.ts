// The way of single faults through all processes: of some thousand that were traced, the fastest, the one in the middle and the slowest.
import { OtlpReceiver, type ReceivedSpan } from '../operate/otlp-receiver.ts';
import { withCluster } from './cluster.ts';
import { play, scenes } from './fault-scenes.ts';
import { columns, type ResultTable, type Setting } from './part.ts';

const KINDS = ['from another node, clean', 'write upgrade, 1 sharer'];
const ROUNDS = 3;
const ACCESSES = 2000;
const QUICK_ACCESSES = 200;
/** Rounds before them: what runs for the first times is not compiled. */
const WARM_UPS = 3;
/** What was told last comes with the next message to the collector. */
const TOLD_MS = 8_000;

interface Traced {
  fault: string;
  traces: number;
  which: string;
  spans: readonly ReceivedSpan[];
}

/** A cluster of its own, which tells all to a collector here. */
export async function timelines(setting: Setting): Promise<{ table: ResultTable; measured: unknown }> {
  const collector = await OtlpReceiver.start();
  const { quick, signal, progress } = setting;
  const traced: Traced[] = [];
  try {
    const options = {
      nodes: 3,
      suffix: '-traced',
      traceOtlp: collector.address,
      traceSample: 1,
      signal,
      progress,
    };
    await withCluster(options, async (to) => {
      const here = { ...setting, to };
      const nodes = (await to.nodes()).map(({ name }) => name);
      const all = scenes(here, { accesses: quick ? QUICK_ACCESSES : ACCESSES });
      for (const kind of KINDS) {
        const scene = all.find((each) => each.kind.name === kind)!;
        progress(`${kind}: the way of single faults`);
        for (let i = 0; !quick && i < WARM_UPS; i++) await play(here, scene, nodes);
        await told(collector);
        const from = BigInt(Date.now()) * 1_000_000n;
        for (let i = 0; i < (quick ? 1 : ROUNDS); i++) await play(here, scene, nodes);
        await told(collector);
        traced.push(...threeOf(kind, collector.traces, from));
      }
    });
  } finally {
    collector.close();
  }
  return { table: tableOf(traced), measured: traced.map(measuredOf) };
}

/** Waits until no more spans come. */
async function told(collector: OtlpReceiver): Promise<void> {
  const endMs = performance.now() + TOLD_MS;
  for (let count = -1; performance.now() < endMs && collector.spans.length !== count; ) {
    count = collector.spans.length;
    await new Promise((resolve) => setTimeout(resolve, TOLD_MS / 4));
  }
}

const lengthNs = ({ startNs, endNs }: ReceivedSpan): number => Number(endNs - startNs);
const first = (spans: readonly ReceivedSpan[]): ReceivedSpan | undefined =>
  spans.find(({ name, parent }) => name === 'fault' && parent === '');

/** Of those that a leader had to decide of, and that began since. */
function threeOf(fault: string, traces: ReceivedSpan[][], from: bigint): Traced[] {
  const whole = traces
    .filter((spans) => (first(spans)?.startNs ?? 0n) >= from && spans.some(({ name }) => name === 'decide'))
    .sort((a, b) => lengthNs(first(a)!) - lengthNs(first(b)!));
  if (whole.length === 0) return [];
  const at = { fastest: 0, middle: whole.length >> 1, slowest: whole.length - 1 };
  return Object.entries(at).map(([which, index]) => ({
    ...{ fault, which, traces: whole.length },
    spans: whole[index]!.toSorted((a, b) => Number(a.startNs - b.startNs)),
  }));
}

function measuredOf({ spans, ...about }: Traced): object {
  const began = first(spans)!.startNs;
  const parts = spans.map(({ name, instance, startNs, endNs }) => {
    const us = (ns: bigint): number => Number(ns - began) / 1e3;
    return { name, instance, fromUs: us(startNs), toUs: us(endNs) };
  });
  return { ...about, parts };
}

function tableOf(traced: Traced[]): ResultTable {
  const us = (ns: number): string => (ns / 1e3).toFixed(0);
  return {
    title: 'The way of a fault: when each process began with its part, and ended',
    columns: columns('FAULT', 'WHICH', '>FROM us', '>TO us', '>TOOK us', 'PART', 'PROCESS'),
    rows: traced.flatMap(({ fault, which, traces, spans }) => {
      const began = first(spans)!.startNs;
      return spans.map((span, i) => [
        ...(i === 0 ? [fault, `${which} of ${traces}`] : ['', '']),
        ...[us(Number(span.startNs - began)), us(Number(span.endNs - began)), us(lengthNs(span))],
        ...[span.name, span.instance],
      ]);
    }),
    notes: [
      'Each fault is traced, which costs. docs/traces.md says what each part is; what is between them is on its way, or waits.',
    ],
  };
}
