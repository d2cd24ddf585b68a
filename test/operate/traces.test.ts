// Traces, as a collector gets them: of a fault that needs a page of another node, of a write that takes copies away, of a run.
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';
import { buildGuest } from '../guests/build.ts';
import { OtlpReceiver, type ReceivedSpan, treeOf } from './otlp-receiver.ts';
import { commandsOf, runInShell } from './page-commands.ts';

vi.setConfig({ testTimeout: 120_000 });

let collector: OtlpReceiver;
let cluster: TestCluster;
beforeAll(async () => {
  collector = await OtlpReceiver.start();
  cluster = await TestCluster.up({
    nodes: 2,
    traceOtlp: collector.address,
    traceSample: 1,
    logLevel: 'debug',
  });
}, 150_000);
afterAll(async () => {
  await cluster?.down();
  collector?.close();
}, 90_000);

const one = (spans: readonly ReceivedSpan[], name: string, instance?: string): ReceivedSpan => {
  const found = spans.find(
    (span) => span.name === name && (instance === undefined || span.instance === instance),
  );
  if (found === undefined)
    throw new Error(`no span "${name}" of ${instance ?? 'anybody'} in:\n${treeOf(spans)}`);
  return found;
};

/** The first trace in which all of these are. */
async function traceWith(...names: string[]): Promise<ReceivedSpan[]> {
  let found: ReceivedSpan[] | undefined;
  const holds = () => {
    found = collector.traces.find((spans) => names.every((name) => spans.some((span) => span.name === name)));
    return found !== undefined;
  };
  await until(`a trace with ${names.join(', ')}`, holds, 20_000).catch((error) => {
    throw new Error(`${error.message}\n${collector.traces.slice(0, 20).map(treeOf).join('\n\n')}`);
  });
  return found!;
}

/** Every span but the first has its parent in the trace. */
function expectTree(spans: readonly ReceivedSpan[]): void {
  const ids = new Set(spans.map(({ id }) => id));
  expect(ids.size).toBe(spans.length);
  const roots = spans.filter(({ parent }) => !ids.has(parent));
  expect(
    roots.map(({ name, parent }) => ({ name, parent })),
    treeOf(spans),
  ).toEqual([{ name: roots[0]!.name, parent: '' }]);
}

const isWithin = (inner: ReceivedSpan, outer: ReceivedSpan): void => {
  expect(inner.startNs >= outer.startNs && inner.endNs <= outer.endNs, `${inner.name} in ${outer.name}`).toBe(
    true,
  );
};

describe('one fault', () => {
  it('goes through its virtual kernel, two pmap managers and the directory, as one tree', async () => {
    await cluster.run('node1', 'counter', ['remote', 'atomic', '10']);
    await cluster.run('node2', 'counter', ['remote', 'atomic', '10']);
    const spans = await traceWith('fault', 'serve fault', 'decide', 'give pages', 'take pages');
    expectTree(spans);
    const fault = one(spans, 'fault');
    const serve = one(spans, 'serve fault');
    const decide = one(spans, 'decide');
    const give = one(spans, 'give pages');
    const take = one(spans, 'take pages');
    expect([fault.service, serve.service, decide.service, give.service, take.service]).toEqual([
      ...['vkernel', 'pmapd', 'cohd', 'pmapd', 'pmapd'],
    ]);
    expect([serve.parent, decide.parent, give.parent, take.parent]).toEqual([
      ...[fault.id, serve.id, decide.id, give.id],
    ]);
    expect(serve.instance).toBe(take.instance);
    expect(give.instance).not.toBe(serve.instance);
    isWithin(serve, fault);
    isWithin(decide, serve);
    isWithin(give, serve);
    isWithin(take, serve);
    expect(give.startNs >= decide.startNs && take.startNs >= give.startNs).toBe(true);
    expect(serve.attributes).toMatchObject({ 'odonata.dataspace': 'remote', 'odonata.place': 'remote' });
    expect(decide.attributes).toMatchObject({ 'odonata.pages_recalled': '1' });
  });

  it('that takes copies away has the nodes that gave them up', async () => {
    await cluster.run('node1', 'counter', ['upgrade', 'atomic', '10']);
    await cluster.run('node2', 'counter', ['upgrade', 'read']);
    await cluster.run('node1', 'counter', ['upgrade', 'atomic', '10']);
    const spans = await traceWith('fault', 'decide', 'invalidate');
    expectTree(spans);
    const invalidate = one(spans, 'invalidate');
    expect(spans.find(({ id }) => id === invalidate.parent)).toMatchObject({
      name: 'decide',
      service: 'cohd',
    });
    expect(one(spans, 'serve fault').instance).not.toBe(invalidate.instance);
  });
});

describe('one run', () => {
  it('goes from vkctl through the router to its exit', async () => {
    const module = await buildGuest('hello');
    const name = `vkctl run ${basename(module)}`;
    const { code } = await cluster.vkctl(['run', '--node', 'node2', module, 'traced']);
    expect(code).toBe(0);
    const run = 'odonata.vkernel.v1.VkernelService/Run';
    const spans = await traceWith(name, `route ${run}`, run, 'run program');
    expectTree(spans);
    const root = one(spans, name);
    const routed = one(spans, `route ${run}`);
    const served = one(spans, run);
    const load = one(spans, 'load program');
    const program = one(spans, 'run program');
    expect([root, routed, served, load, program].map(({ service }) => service)).toEqual([
      ...['vkctl', 'syslinkd', 'vkerneld', 'vkernel', 'vkernel'],
    ]);
    expect(routed.parent).toBe(root.id);
    expect(served.parent).toBe(routed.id);
    for (const part of [one(spans, 'virtual kernel'), load, program]) {
      expect(part.parent).toBe(served.id);
      isWithin(part, served);
      isWithin(part, root);
    }
    expect(program.attributes).toMatchObject({ 'process.exit.code': '0' });
    expect(program.startNs >= load.endNs).toBe(true);
  });
});

describe('the logs', () => {
  it('have the ids of what is traced', () => {
    const [spans] = collector.traces.filter((each) => each.some(({ name }) => name === 'take pages'));
    const { trace, id } = one(spans!, 'give pages');
    const lines = ['node1/pmapd', 'node2/pmapd'].flatMap((name) =>
      readFileSync(cluster.service(name).logFile, 'utf8').trim().split('\n'),
    );
    expect(lines.map((line) => JSON.parse(line))).toContainEqual(
      expect.objectContaining({ msg: 'span: give pages', trace_id: trace, span_id: id }),
    );
    const vkerneld = readFileSync(cluster.service('node2/vkerneld').logFile, 'utf8');
    const started = vkerneld
      .split('\n')
      .find((line) => line.includes('starting a process') && line.includes('hello'));
    expect(JSON.parse(started!)).toMatchObject({ trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) });
  });
});

describe('docs/traces.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/traces.md'), 'utf8');

  it('has commands that do what it says', () => {
    const commands = commandsOf(page);
    const lifetime = commands.filter(({ line }) => /^\.\/vkctl (up|down)/.test(line));
    expect(lifetime).toHaveLength(2);
    const shown = commands.filter((command) => !lifetime.includes(command));
    const printed = runInShell(
      shown.map(({ line }) => line),
      { cwd: join(import.meta.dirname, '../..'), env: cluster.env },
    );
    for (const [at, { output }] of shown.entries())
      if (output !== '') expect(new Set(printed[at]!.trim().split('\n'))).toEqual(new Set([output.trim()]));
  });

  it('shows a fault as it is', async () => {
    const said = [...page.matchAll(/^```text\n(.*?)^```$/gms)][0]![1]!;
    const names = (tree: string) =>
      tree
        .trim()
        .split('\n')
        .map((line) =>
          line
            .replace(/^ *\d+ us /, '')
            .split(/ {2,}(?=\S)/)
            .at(-2)
            ?.trim(),
        );
    const spans = await traceWith('fault', 'serve fault', 'decide', 'give pages', 'take pages');
    expect(names(treeOf(spans))).toEqual(names(said));
  });
});

describe('a collector that goes away', () => {
  it('harms nobody, is one line in the log, and its drops are counted', async () => {
    const { port } = collector;
    collector.close();
    const linesOf = () =>
      readFileSync(cluster.service('node2/pmapd').logFile, 'utf8')
        .split('\n')
        .filter((line) => line.includes('the collector takes'));
    const work = async () => {
      await cluster.run('node1', 'counter', ['away', 'atomic', '10']);
      await cluster.run('node2', 'counter', ['away', 'atomic', '10']);
    };
    for (let round = 0; round < 3; round++) await work();
    await until('it is told', async () => {
      await work();
      return linesOf().length > 0;
    });
    for (let round = 0; round < 3; round++) await work();
    expect(linesOf()).toHaveLength(1);
    expect(linesOf()[0]).toContain('takes no spans');
    collector = await OtlpReceiver.start(port);
    await until('it is told that it is back', async () => {
      await work();
      return linesOf().length === 2;
    });
    expect(linesOf()[1]).toContain('takes spans again');
  });
});
