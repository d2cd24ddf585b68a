import { expect, test } from 'vitest';
import { circlesOf } from './circles.ts';
import { againstDirection } from './direction.ts';
import { findings } from './findings.ts';
import { type ImportGraph, importedNames } from './source.ts';

const nothing = { inCircles: new Set<string>(), againstDirection: new Map<string, string>() };
const graphOf = (imports: Record<string, string[]>): ImportGraph =>
  new Map(
    Object.entries({
      ...Object.fromEntries(
        Object.values(imports)
          .flat()
          .map((f) => [f, []]),
      ),
      ...imports,
    }),
  );

test('every kind of import counts, types too', () => {
  const code = [
    "import './a.ts';",
    "import type { B } from './b.ts';",
    "import {\n  type C,\n  c,\n} from './c.ts';",
    "export { d } from './d.ts';",
    "export * from './e.ts';",
    "const f = await import('./f.ts');",
    "type G = import('./g.ts').G;",
    "import h, { type I } from '@odonata/rpc/h.ts';",
    "export const text = 'from nowhere';",
    "// import { x } from './comment.ts';",
  ].join('\n');
  expect(importedNames(code).sort()).toEqual(
    ['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts', './f.ts', './g.ts', '@odonata/rpc/h.ts'].sort(),
  );
});

test('circles: each apart, and what leads to one is not in it', () => {
  const graph = graphOf({
    'libs/x/a.ts': ['libs/x/b.ts'],
    'libs/x/b.ts': ['libs/x/c.ts', 'libs/x/d.ts'],
    'libs/x/c.ts': ['libs/x/b.ts'],
    'libs/x/d.ts': ['libs/x/e.ts'],
    'libs/x/e.ts': ['libs/x/f.ts'],
    'libs/x/f.ts': ['libs/x/d.ts'],
    'libs/x/g.ts': ['libs/x/g.ts'],
  });
  expect(circlesOf(graph).sort()).toEqual([
    ['libs/x/b.ts', 'libs/x/c.ts'],
    ['libs/x/d.ts', 'libs/x/e.ts', 'libs/x/f.ts'],
    ['libs/x/g.ts'],
  ]);
});

test.each([
  ['libs/rpc/a.ts', 'services/pmapd/b.ts'],
  ['libs/coherency/a.ts', 'libs/rpc/b.ts'],
  ['libs/coherency/a.ts', 'services/cohd/b.ts'],
  ['services/pmapd/a.ts', 'services/cohd/b.ts'],
  ['services/vkctl/a.ts', 'services/pmapd/b.ts'],
  ['services/pmapd/a.ts', 'test/bench/b.ts'],
  ['libs/rpc/a.ts', 'test/bench/b.ts'],
])('%s may not import %s', (from, to) => {
  const graph = graphOf({ [from]: [to] });
  expect([...againstDirection(graph).keys()]).toEqual([`${from} -> ${to}`]);
  expect(findings(graph, nothing)).toEqual([expect.stringContaining('against the direction')]);
});

test.each([
  ['services/pmapd/a.ts', 'libs/coherency/b.ts'],
  ['libs/simulator/a.ts', 'libs/coherency/b.ts'],
  ['libs/coherency/a.ts', 'libs/proto/coherency/v1/coherency'],
  ['libs/coherency/a.ts', 'libs/coherency/locks/b.ts'],
  ['test/bench/a.ts', 'services/vkctl/b.ts'],
  ['services/vkctl/a.test.ts', 'services/cohd/b.ts'],
])('%s may import %s', (from, to) => {
  expect(findings(graphOf({ [from]: [to] }), nothing)).toEqual([]);
});

test('what is known is no finding, and is one as soon as it is not there any more', () => {
  const circle = graphOf({ 'libs/x/a.ts': ['libs/x/b.ts'], 'libs/x/b.ts': ['libs/x/a.ts'] });
  const known = { ...nothing, inCircles: new Set(['libs/x/a.ts', 'libs/x/b.ts']) };
  expect(findings(circle, nothing)).toEqual([expect.stringContaining('libs/x/a.ts, libs/x/b.ts')]);
  expect(findings(circle, known)).toEqual([]);
  const grown = graphOf({
    'libs/x/a.ts': ['libs/x/b.ts'],
    'libs/x/b.ts': ['libs/x/c.ts'],
    'libs/x/c.ts': ['libs/x/a.ts'],
  });
  expect(findings(grown, known)).toEqual([expect.stringContaining('libs/x/c.ts, with 2 that are known')]);
  expect(findings(graphOf({ 'libs/x/a.ts': ['libs/x/b.ts'] }), known)).toEqual([
    expect.stringContaining('in no import circle any more: libs/x/a.ts'),
    expect.stringContaining('in no import circle any more: libs/x/b.ts'),
  ]);
  const against = { ...nothing, againstDirection: new Map([['libs/x/a.ts -> services/y/b.ts', 'a reason']]) };
  expect(findings(graphOf({ 'libs/x/a.ts': ['services/y/b.ts'] }), against)).toEqual([]);
  expect(findings(graphOf({ 'libs/x/a.ts': [] }), against)).toHaveLength(1);
});
