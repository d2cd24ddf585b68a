// What cannot be in a snapshot, or is better left out: modules of Node that have native state, those that no command needs (the source of
// each would be read at each start), and packages that are no part of a bundle. Whoever imports
// one has an object of the same names, which loads it when the first is asked for. Constants are there at once, as modules
// take them when they are loaded.
import { createRequire } from 'node:module';
import type { Plugin } from 'rolldown';

const NATIVE = ['http', 'http2', 'https', 'inspector', 'tls'];
const NOT_NEEDED = ['child_process', 'dns/promises', 'worker_threads', 'zlib'];
const OF_NODE: ReadonlySet<string> = new Set([...NATIVE, ...NOT_NEEDED]);
const MARK = '\0late:';

/** Begins the script: `require` is its own there. */
export const LATE_BANNER = `globalThis.odonataLate = (name, names) => {
  let module;
  const load = () => (module ??= require("module").isBuiltin(name) ? require(name) : require("module").createRequire(process.argv[1])(name));
  const get = (key) => ({ enumerable: true, configurable: true, get: () => load()[key], set: (value) => { load()[key] = value; } });
  return Object.defineProperties({}, Object.fromEntries(names.map((key) => [key, get(key)])));
};`;

/** @param external packages; @param root by whose folder they are found */
export function lateModules(external: readonly string[], root: string): Plugin {
  const packages = new Set(external);
  const require = createRequire(`${root}/package.json`);
  return {
    name: 'late-modules',
    resolveId: (id) => {
      const name = id.replace(/^node:/, '');
      return OF_NODE.has(name) || packages.has(id) ? `${MARK}${name}.cjs` : undefined;
    },
    load: (id) => {
      if (!id.startsWith(MARK)) return undefined;
      const name = id.slice(MARK.length, -'.cjs'.length);
      return { moduleType: 'js', code: standIn(name, require(name)) };
    },
  };
}

function standIn(name: string, real: object): string {
  const { constants, ...others } = real as { constants?: object };
  const late = `module.exports = globalThis.odonataLate(${JSON.stringify(name)}, ${JSON.stringify(Object.keys(others))});`;
  return constants === undefined ? late : `${late}\nmodule.exports.constants = ${JSON.stringify(constants)};`;
}
