// What nobody measured: how large the cluster is, and what its programs do. Each may be told: --assume NAME=VALUE.
import { EXIT, Failure } from '../../../services/vkctl/failure.ts';

/** Name: the default, and where that is from. */
export const ASSUMPTIONS = {
  nodes: [1000, 'nodes'],
  vkernels: [100_000, 'virtual kernels, evenly on the nodes'],
  active: [0.05, 'share of the virtual kernels whose program runs hard; the others wait (guess)'],
  faults: [100, 'faults a second of such a one that leave it (the word count of `make demo`: 107)'],
  remote: [0.6, 'share of those for a page of another node (that word count: 0.64)'],
  upgrade: [0.05, 'share of those to write a page that others have (guess: most sharing only reads)'],
  sharers: [8, 'nodes that have such a page (guess)'],
  followers: [16, 'nodes that have its dataspace open, so hear each invalidation of it (guess)'],
  starts: [0.01, 'programs that a virtual kernel starts in a second (guess)'],
  calls: [0.01, 'calls through the router a second and virtual kernel, as by vkctl (guess)'],
  startPieces: [3, 'pieces of a circuit there and back for a start (module, started, output and exit)'],
  hottest: [0.05, 'share of all acquires that meet the hottest of the 64 shards (an even share: 0.016)'],
  shards: [64, 'shards of the page space: the most replicas of the directory that lead any'],
  routers: [32, 'the most routers that a service attaches to (libs/rpc/syslink/routers.ts)'],
  natsServers: [3, 'NATS servers (k8s/overlays/prod)'],
  natsCores: [4, 'cores of each (guess)'],
  nodeGib: [64, 'memory of a node in GiB (guess)'],
  target: [0.7, 'utilisation up to which a station is planned'],
  cv2: [1, 'squared coefficient of variation of service times; 1: exponential'],
} as const satisfies Record<string, readonly [number, string]>;

export type AssumptionName = keyof typeof ASSUMPTIONS;
export type Assumptions = Record<AssumptionName, number>;
const NAMES = Object.keys(ASSUMPTIONS) as AssumptionName[];

const SHARES: readonly AssumptionName[] = ['active', 'remote', 'upgrade', 'hottest', 'target'];
const WHOLE: readonly AssumptionName[] = [
  'nodes',
  'vkernels',
  'shards',
  'routers',
  'natsServers',
  'natsCores',
];

export const byDefault = (): Assumptions =>
  Object.fromEntries(NAMES.map((name) => [name, ASSUMPTIONS[name][0]])) as Assumptions;

/** @param told NAME=VALUE each. @throws Failure with the usage code */
export function assume(told: readonly string[]): Assumptions {
  const all = byDefault();
  for (const text of told) {
    const [, name = '', value = ''] = /^(\w+)=(.+)$/.exec(text) ?? [];
    const known = NAMES.find((each) => each === name);
    if (known === undefined) throw wrong(`"${text}": use NAME=VALUE; names: ${NAMES.join(', ')}`);
    all[known] = numberOf(known, value);
  }
  if (all.remote + all.upgrade > 1)
    throw wrong('remote and upgrade are shares of the same faults: at most 1 together');
  return all;
}

function numberOf(name: AssumptionName, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw wrong(`${name}: "${text}" is no number from 0`);
  if (SHARES.includes(name) && value > 1) throw wrong(`${name}: "${text}" is a share, so from 0 to 1`);
  if (name === 'target' && (value === 0 || value === 1))
    throw wrong(`target: "${text}" is not between 0 and 1`);
  if (WHOLE.includes(name) && !(Number.isInteger(value) && value >= 1))
    throw wrong(`${name}: "${text}" is no whole number from 1`);
  return value;
}

const wrong = (problem: string): Failure => new Failure(`--assume ${problem}`, { exitCode: EXIT.usage });

/** For the help. */
export const assumptionLines = (): string =>
  NAMES.map((name) => `  ${`${name}=${ASSUMPTIONS[name][0]}`.padEnd(18)} ${ASSUMPTIONS[name][1]}`).join('\n');
