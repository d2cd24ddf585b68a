// Declarations of a source and of all of ours that it names, in the folders of the repository, with the names of our packages as
// relative ones.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { packageOf } from './javascript.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/lib/tsc.js');
const NAME = /(from |import\()(['"])([^'"]+)\2/g;
const GENERATED = 'libs/proto/gen';

/** @returns packages of others that they name */
export function declarations(source: string, out: string): string[] {
  const others = new Set<string>();
  const generated = globSync('**/*.d.ts', { cwd: join(ROOT, GENERATED) });
  for (const file of generated) cpSync(join(ROOT, GENERATED, file), join(out, GENERATED, file));
  // Of what is found below node_modules, as workspaces are, tsc emits nothing unless it is named.
  let missing = [source];
  for (let sources = [source]; missing.length > 0; sources = [...sources, ...missing]) {
    emit(sources, out);
    const emitted = globSync('**/*.d.ts', { cwd: out });
    for (const file of emitted)
      writeFileSync(join(out, file), inPackage(file, readFileSync(join(out, file), 'utf8')));
    const wanted = emitted.flatMap((file) => namesIn(out, file, others));
    missing = [...new Set(wanted)]
      .filter((path) => !existsSync(join(out, path.replace(/\.js$/, '.d.ts'))))
      .map((path) => join(ROOT, path.replace(/\.js$/, '.ts')));
  }
  return [...others];
}

function emit(files: readonly string[], out: string): void {
  const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8'));
  const config = join(out, '../tsconfig.json');
  const options = {
    ...compilerOptions,
    ...{ noEmit: false, declaration: true, emitDeclarationOnly: true, rootDir: ROOT, outDir: out },
    typeRoots: [join(ROOT, 'node_modules/@types')],
  };
  writeFileSync(config, JSON.stringify({ compilerOptions: options, files }));
  const done = spawnSync(process.execPath, [TSC, '-p', config], { encoding: 'utf8', timeout: 120_000 });
  rmSync(config);
  if (done.status !== 0) throw new Error(`declarations: ${done.stdout}`);
}

const inPackage = (file: string, text: string): string =>
  text.replace(NAME, (_, before, quote, name) => `${before}${quote}${placed(name, file)}${quote}`);

/** Files of ours that a file names, from `out`. */
function namesIn(out: string, file: string, others: Set<string>): string[] {
  const names = [...readFileSync(join(out, file), 'utf8').matchAll(NAME)].map(([, , , name]) => name!);
  for (const name of names) if (!/^(\.|node:)/.test(name)) others.add(packageOf(name));
  return names.filter((name) => name.startsWith('.')).map((name) => posix.join(posix.dirname(file), name));
}

/** As the package has it: `../rpc/x.js` of `@odonata/rpc/x.ts`. */
function placed(name: string, from: string): string {
  const own = /^@odonata\/(\w[\w-]*)(?:\/(.*))?$/.exec(name);
  if (own === null) return name.startsWith('.') ? name.replace(/\.ts$/, '.js') : name;
  const [, folder, file = 'client.ts'] = own;
  const target =
    folder === 'proto' ? `${GENERATED}/${protoFile(file)}` : `libs/${folder}/${file.replace(/\.ts$/, '.js')}`;
  const to = relative(dirname(from), target).split('\\').join(posix.sep);
  return to.startsWith('.') ? to : `./${to}`;
}

/** As libs/proto/package.json exports them. */
function protoFile(name: string): string {
  if (name === 'buf/validate') return 'buf/validate/validate_pb.js';
  return /^(grpc|google)\//.test(name) ? `${name}_pb.js` : `odonata/${name}_pb.js`;
}
