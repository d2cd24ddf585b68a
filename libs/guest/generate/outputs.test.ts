import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ModuleDescription } from '../module/description.ts';
import { odonata } from '../module/odonata.ts';
import { CHeader } from './c-header.ts';
import { outputs } from './outputs.ts';
import { reference } from './reference.ts';

test.each(Object.entries(outputs()))('%s is what `npm run generate` makes', (path, text) => {
  expect(readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')).toBe(text);
});

const layer = readFileSync(new URL('assembly/layer.ts', import.meta.url), 'utf8');
const fallible = Object.entries(odonata.functions).filter(([, { result }]) => result === 'errno');

test.each(fallible)('an AssemblyScript guest reaches %s', (name) => {
  expect(layer).toContain(`${name.startsWith('ds_') ? name : `ds_${name}`}(`);
});

test('every {name} of a text is a function, a helper of both bindings, or PAGE', () => {
  const known = new Set([...Object.keys(odonata.functions), 'PAGE', 'reserve']);
  const names = [...JSON.stringify(odonata).matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  expect(names.filter((name) => !known.has(name))).toEqual([]);
});

test('a call that is added is declared in the header and described on the page', () => {
  const grown: ModuleDescription = {
    ...odonata,
    functions: {
      ...odonata.functions,
      ds_close: {
        doc: 'Closes what {ds_open} gave.',
        parameters: [{ name: 'id', type: 'u64', doc: 'of {ds_open}' }],
        result: 'errno',
        errors: { EBADF: 'this process did not open `id`' },
      },
    },
  };
  expect(new CHeader(grown).write('')).toContain(
    '/** Closes what odonata_ds_open() gave. */\nODONATA_IMPORT("ds_close")\nint32_t odonata_ds_close(uint64_t id);',
  );
  expect(reference(grown)).toContain('`ds_close(id)`, in WebAssembly `(i64) -> i32`');
});

test('what Go declares it declares once', () => {
  const text = outputs()['libs/guest/go/odonata.go'] ?? readFileSync('libs/guest/go/odonata.go', 'utf8');
  const names = [...text.matchAll(/^(?:func|type|var|const) (\w+)/gm)].map(([, name]) => name);
  expect(names.length).toBeGreaterThan(30);
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
});
