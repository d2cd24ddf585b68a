// Files that are in an import circle today, and are on their way out of it. Whoever frees one of them takes it off, and the
// check says so.
const SIMULATOR = [
  'checkers/access',
  'checkers/durability',
  'checkers/latest-value',
  'checkers/lock-order',
  'checkers/loss',
  'cluster-store',
  'connection',
  'event-queue',
  'machines',
  'memory-file',
  'network',
  'part',
  'parts/backing',
  'parts/directory',
  'parts/drain',
  'parts/link',
  'parts/links',
  'parts/lock-desk',
  'parts/mapping',
  'parts/memory',
  'parts/page-values',
  'parts/pmap',
  'parts/store',
  'parts/sync-relay',
  'parts/tables',
  'parts/vkernel',
  'process',
  'profiles',
  'world',
].map((name) => `libs/simulator/${name}.ts`);

const PMAPD = ['node', 'session'].map((name) => `services/pmapd/${name}.ts`);

const REPLICA = ['notes', 'outbox', 'replica-messages'].map((name) => `libs/coherency/replica/${name}.ts`);

export const KNOWN_IN_CIRCLES: ReadonlySet<string> = new Set([...SIMULATOR, ...PMAPD, ...REPLICA]);

/** Imports against the direction, as `importer -> imported`, each with its reason. */
export const KNOWN_AGAINST_DIRECTION: ReadonlyMap<string, string> = new Map();
