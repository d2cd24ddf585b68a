// What a module may read while it is loaded, and would find as it was when the snapshot was made: a variable of the environment
// is noted, and a snapshot counts only where each is what it was; chance would be the same in every process, and is refused. This
// module comes first in the snapshot.
const real = process.env;
const noted = new Map<string, string | undefined>();

/** Of authorities that Node trusts by itself: nobody is trusted here but the authority of a cluster. */
const OF_NO_ACCOUNT = new Set(['GRPC_DEFAULT_SSL_ROOTS_FILE_PATH']);

process.env = new Proxy(real, {
  get: (env, name) => (typeof name === 'string' ? note(env, name) : undefined),
  has: (env, name) => typeof name === 'string' && note(env, name) !== undefined,
  ownKeys: () => {
    throw new Error('a module reads the whole environment as it is loaded');
  },
});

function note(env: NodeJS.ProcessEnv, name: string): string | undefined {
  if (!OF_NO_ACCOUNT.has(name)) noted.set(name, env[name]);
  return env[name];
}

const RANDOM = ['randomBytes', 'randomFillSync', 'randomInt', 'randomUUID'] as const;
const crypto: Record<string, unknown> = process.getBuiltinModule('node:crypto');
const chance = RANDOM.map((name) => crypto[name]);
for (const name of RANDOM)
  crypto[name] = () => {
    throw new Error(`a module asks for ${name} as it is loaded`);
  };

/** All is loaded. */
export function loaded(): void {
  process.env = real;
  for (const [i, name] of RANDOM.entries()) crypto[name] = chance[i];
}

/** Whether what was read of the environment would be read so again. */
export const isAsItWas = (): boolean => [...noted].every(([name, value]) => process.env[name] === value);
