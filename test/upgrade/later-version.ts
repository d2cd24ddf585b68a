// A later version of the services, to run beside this one: a copy of the source whose protocol has grown, in the ways
// that `buf breaking` permits. Each message has a field more, and says something in it; each stream of events
// carries some of a kind that nobody knows yet.
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RELEASE } from '@odonata/rpc/wire-version.ts';
import { generate, linkPackages, ROOT } from './checkout.ts';

const COPIED = ['package.json', 'buf.yaml', 'buf.gen.yaml', 'proto', 'libs', 'services'];
/** Of the field that each message has more. */
const LATER_FIELD = 'later_note';
/** What its services say that they are. */
export const LATER_RELEASE = `${RELEASE}-later`;
const FIELD_NUMBER = 15_000;
const EVENT_NUMBER = 15_001;

/** Makes the later version in a folder. @returns its folder of services */
export function makeLaterVersion(folder: string): string {
  for (const name of COPIED)
    cpSync(join(ROOT, name), join(folder, name), {
      recursive: true,
      filter: (path) => !path.endsWith('/gen'),
    });
  linkPackages(folder);
  for (const path of protoFiles(folder)) edit(path, grow);
  edit(join(folder, 'libs/rpc/service.ts'), saysMore);
  edit(join(folder, 'libs/rpc/event-batch.ts'), sendsMore);
  edit(join(folder, 'libs/rpc/wire-version.ts'), (code) =>
    code.replace(`'${RELEASE}'`, `'${LATER_RELEASE}'`),
  );
  generate(folder);
  return join(folder, 'services');
}

/** `buf breaking`: whether the later version may run beside this one. @throws Error with what it finds */
export function expectCompatible(folder: string): void {
  execFileSync(join(ROOT, 'node_modules/.bin/buf'), ['breaking', '--against', ROOT], {
    cwd: folder,
    encoding: 'utf8',
  });
}

function protoFiles(folder: string): string[] {
  const proto = join(folder, 'proto/odonata');
  const names = readdirSync(proto, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.proto')).map((name) => join(proto, name));
}

function edit(path: string, change: (text: string) => string): void {
  const text = readFileSync(path, 'utf8');
  const changed = change(text);
  if (changed === text) throw new Error(`${path}: there is nothing to change any more; see later-version.ts`);
  writeFileSync(path, changed);
}

const grow = (proto: string): string =>
  proto.replace(/^message \w+ \{(\})?\n?/gm, (head, closed) => {
    const field = `// Of a later version.\nstring ${LATER_FIELD} = ${FIELD_NUMBER};\n`;
    return closed === undefined ? `${head}${field}` : `${head.slice(0, head.indexOf('{') + 1)}\n${field}}\n`;
  });

const saysMore = (code: string): string =>
  code.replace(
    'create(schema, init as never)',
    `Object.assign(create(schema, init as never), { laterNote: 'from a later version' })`,
  );

// What a receiver sees of a kind of event that it does not know.
const sendsMore = (code: string): string =>
  code.replace(
    'const events = [...this.later, ...this.events];',
    `const later = { $unknown: [{ no: ${EVENT_NUMBER}, wireType: 0, data: new Uint8Array([1]) }] };
    const events = [...this.later, ...this.events, later as never];`,
  );
