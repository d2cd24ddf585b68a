// The code of a guest's thread, made ready once: Node would strip the types of each of its files anew in each thread,
// which takes longer than all the rest of a thread's start (150 ms of processor time, against 40 ms).

import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { type Rehearsal, rehearsal } from './rehearsal.ts';

const entry = new URL('./guest-thread.ts', import.meta.url).href;
/** In code without types, so that imports of types alone are gone. */
const relativeImport = /\b(?:from|import)\s+['"](\.[^'"]+)['"]/g;

export interface GuestSource {
  /** What a thread is to evaluate. */
  readonly boot: string;
  /** The thread's workerData. */
  readonly data: GuestData;
}

export interface GuestData {
  /** JavaScript by URL. */
  readonly modules: ReadonlyMap<string, string>;
  /** Undefined: it runs its program first. */
  readonly rehearsal: Rehearsal | undefined;
}

let made: GuestSource | undefined;

export function guestSource(): GuestSource {
  made ??= { boot, data: { modules: readModules(), rehearsal: rehearsal() } };
  return made;
}

function readModules(): Map<string, string> {
  const modules = new Map<string, string>();
  const pending = [entry];
  for (let url = pending.pop(); url !== undefined; url = pending.pop()) {
    if (modules.has(url)) continue;
    const source = readFileSync(new URL(url), 'utf8');
    const code = url.endsWith('.ts') ? stripTypeScriptTypes(source) : source;
    modules.set(url, code);
    for (const [, specifier] of code.matchAll(relativeImport)) pending.push(new URL(specifier!, url).href);
  }
  return modules;
}

/** CommonJS, as `eval` of a worker wants it. What is not in the map is loaded as ever. */
const boot = `
const { registerHooks } = require('node:module');
const { modules } = require('node:worker_threads').workerData;
registerHooks({
  resolve(specifier, context, next) {
    if (specifier.startsWith('.') && context.parentURL !== undefined) {
      const url = new URL(specifier, context.parentURL).href;
      if (modules.has(url)) return { url, format: 'module', shortCircuit: true };
    }
    return next(specifier, context);
  },
  load(url, context, next) {
    const source = modules.get(url);
    return source === undefined ? next(url, context) : { source, format: 'module', shortCircuit: true };
  },
});
import(${JSON.stringify(entry)});
`;
