// A later version of the services, to run beside this one: a copy of the source whose protocol has grown, in the ways
// that `buf breaking` permits. Each message has a field more, and says something in it; each stream of events
// carries some of a kind that nobody knows yet.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COPIED = ['package.json', 'buf.yaml', 'buf.gen.yaml', 'proto', 'libs', 'services'];
/** Of the field that each message has more. */
export const LATER_FIELD = 'later_note';
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
  const bin = join(ROOT, 'node_modules/.bin');
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
  execFileSync('npm', ['run', '--silent', 'generate'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
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

/** The same packages, but the workspaces' own are the copies. */
function linkPackages(folder: string): void {
  const [from, to] = [join(ROOT, 'node_modules'), join(folder, 'node_modules')];
  mkdirSync(join(to, '@odonata'), { recursive: true });
  for (const name of readdirSync(from))
    if (name !== '@odonata') symlinkSync(join(from, name), join(to, name));
  for (const lib of readdirSync(join(folder, 'libs'))) {
    const { name } = JSON.parse(readFileSync(join(folder, 'libs', lib, 'package.json'), 'utf8'));
    const link = join(to, name);
    symlinkSync(relative(dirname(link), join(folder, 'libs', lib)), link);
  }
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
    'create(schema, message as never)',
    `Object.assign(create(schema, message as never), { laterNote: 'from a later version' })`,
  );

// What a receiver sees of a kind of event that it does not know.
const sendsMore = (code: string): string =>
  code.replace(
    'const events = [...this.later, ...this.events];',
    `const later = { $unknown: [{ no: ${EVENT_NUMBER}, wireType: 0, data: new Uint8Array([1]) }] };
    const events = [...this.later, ...this.events, later as never];`,
  );
