import { parseArgs } from 'node:util';
import { z } from 'zod';
import { isAddress } from './address.ts';
import { whyNoIdentity } from './identity/tls-folder.ts';
import { LOG_LEVELS } from './log.ts';
import { routerAddresses } from './syslink/routers.ts';

export interface ConfigAbout {
  /** One line: what it is. */
  readonly summary: string;
  /** Whole command lines. */
  readonly examples?: readonly string[];
}

export type ConfigResult<T> =
  | { kind: 'config'; config: T }
  | { kind: 'help'; text: string }
  | { kind: 'error'; text: string };

type Shape = z.ZodRawShape;

/** What every program takes. */
export const commonConfig = {
  logLevel: z.enum(LOG_LEVELS).default('info').describe('least severe lines that are logged'),
};

/** `host:port`. */
export const address = () => z.string().refine(isAddress, 'use host:port or unix:/path, as 127.0.0.1:7421');

/** Beside `--listen`. */
export const socketPath = () =>
  z
    .string()
    .refine((path) => path === '' || isAddress(`unix:${path}`), 'use an absolute path of at most 107 bytes')
    .default('')
    .describe(
      'unix socket to serve on, too, in a folder of mode 0700, for the others of this machine; empty: none',
    );

/** Of the routers of the cluster. */
export const syslinkAddresses = () =>
  z
    .string()
    .refine(
      (list) => routerAddresses(list).length > 0 && routerAddresses(list).every(isAddress),
      'use host:port, several with commas: 10.0.0.1:7411,10.0.0.2:7411',
    )
    .default('127.0.0.1:7411')
    .describe(
      'syslink routers, host:port with commas between: it attaches to each; a name stands for all of its addresses, looked up every 5 s',
    );

/** Where events outlive the service. */
export const eventsFile = () =>
  z
    .string()
    .refine((path) => path === '' || path.startsWith('/'), 'use an absolute path')
    .default('')
    .describe('file in which the last 1000 events outlive this service; empty: they end with it');

/** Where a process sends its traces, and how many. */
export const traceConfig = {
  traceOtlp: z
    .string()
    .refine((where) => where === '' || isAddress(where.replace(/^https?:\/\//, '').replace(/\/$/, '')), {
      error: 'use host:port, http://host:port or https://host:port, as 127.0.0.1:4317',
    })
    .default('')
    .describe(
      'collector of OpenTelemetry that takes traces by OTLP over gRPC; empty: that of OTEL_EXPORTER_OTLP_ENDPOINT, if it is set, else none',
    ),
  traceSample: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe(
      'part of what begins here that is traced, where there is a collector: 0.01 is one of a hundred',
    ),
};

/** What every service takes besides. */
export const serviceConfig = {
  ...commonConfig,
  eventsFile: eventsFile(),
  ...traceConfig,
  metricsListen: address()
    .or(z.literal(''))
    .default('')
    .describe('host:port for GET /metrics, /healthz and /readyz; empty: off'),
  tlsDir: z
    .string()
    .default('')
    .superRefine((dir, check) => {
      const why = dir === '' ? undefined : whyNoIdentity(dir);
      if (why !== undefined) check.addIssue(why);
    })
    .describe(
      'folder with tls.crt, tls.key and ca.crt: the identity of this service; empty: none, and everybody may do everything',
    ),
};

/** Name, unit, where from. */
export interface Setting {
  readonly key: string;
  readonly flag: string;
  readonly variable: string;
  readonly kind: 'boolean' | 'number' | 'bigint' | 'list' | 'string';
  readonly schema: z.ZodType;
  readonly choices: readonly string[] | undefined;
}

/**
 * The configuration of a service from flags (`--lease-ms 500`, `--lease-ms=500`) and the environment
 * (`ODONATA_COHD_LEASE_MS`); flags win, then the environment, then the schema's default. Lists take a flag several
 * times, or commas. Ends the process: with 2 after one line on what is wrong, with 0 after `--help`.
 */
export function parseConfig<S extends Shape>(
  name: string,
  about: string | ConfigAbout,
  shape: S,
  argv: readonly string[] = process.argv.slice(2),
  env: NodeJS.ProcessEnv = process.env,
): z.infer<z.ZodObject<S>> {
  const result = readConfig(name, about, shape, argv, env);
  switch (result.kind) {
    case 'config':
      return result.config;
    case 'help':
      process.stdout.write(result.text);
      return process.exit(0);
    case 'error':
      process.stderr.write(`${result.text}\n`);
      return process.exit(2);
  }
}

/** `parseConfig` without its exits. */
export function readConfig<S extends Shape>(
  name: string,
  about: string | ConfigAbout,
  shape: S,
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): ConfigResult<z.infer<z.ZodObject<S>>> {
  const settings = settingsOf(name, shape);
  const fail = (problem: string): ConfigResult<never> => ({
    kind: 'error',
    text: `${name}: ${problem} (see ${name} --help)`,
  });
  let flags: Record<string, unknown>;
  try {
    flags = parseArgs({
      args: [...argv],
      options: flagsOf(settings),
      allowPositionals: false,
      strict: true,
    }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message.replace(/\. To specify.*$/s, '') : String(error));
  }
  if (flags.help === true) return { kind: 'help', text: helpOf(name, about, settings) };
  const config: Record<string, unknown> = {};
  for (const setting of settings) {
    const flag = flags[setting.flag];
    const given = flag ?? env[setting.variable];
    const where = flag !== undefined ? `--${setting.flag}` : setting.variable;
    const parsed = setting.schema.safeParse(
      given === undefined || given === '' ? undefined : parsedText(setting, given),
    );
    if (parsed.success) {
      config[setting.key] = parsed.data;
      continue;
    }
    const mend = `give --${setting.flag} ${placeholder(setting)} or set ${setting.variable}`;
    const reason = parsed.error.issues.map((issue) => issue.message).join(', ');
    return fail(
      given === undefined || given === ''
        ? `--${setting.flag} is missing: ${mend}`
        : `${where}: "${given}": ${reason}`,
    );
  }
  return { kind: 'config', config: config as z.infer<z.ZodObject<S>> };
}

/** All settings of a service. */
export function settingsOf(name: string, shape: Shape): Setting[] {
  return Object.entries(shape).map(([key, schema]) => settingOf(name, key, schema as z.ZodType));
}

/** `socketDir` of vkerneld -> `--socket-dir`, `ODONATA_VKERNELD_SOCKET_DIR`. */
function settingOf(name: string, key: string, schema: z.ZodType): Setting {
  const words = key.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase();
  const variable = `ODONATA_${name}_${words}`.toUpperCase().replaceAll('-', '_');
  const inner = unwrap(schema);
  const kind = KINDS[inner.def.type] ?? 'string';
  const choices = inner instanceof z.ZodEnum ? (inner.options as string[]) : undefined;
  return { key, flag: words, variable, kind, schema, choices };
}

const KINDS: Record<string, Setting['kind']> = {
  boolean: 'boolean',
  number: 'number',
  bigint: 'bigint',
  array: 'list',
};

function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema;
  for (;;) {
    if (inner instanceof z.ZodDefault || inner instanceof z.ZodOptional || inner instanceof z.ZodNullable) {
      inner = inner.unwrap() as z.ZodType;
    } else if (inner instanceof z.ZodPipe) {
      inner = inner.in as z.ZodType;
    } else {
      return inner;
    }
  }
}

function parsedText(setting: Setting, given: unknown): unknown {
  if (Array.isArray(given))
    return given.flatMap((part) => String(part).split(',')).filter((part) => part !== '');
  const text = String(given);
  switch (setting.kind) {
    case 'boolean':
      return /^(true|1|yes|on)$/i.test(text) ? true : /^(false|0|no|off)$/i.test(text) ? false : text;
    case 'number':
      return text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text);
    case 'bigint':
      return /^-?\d+$/.test(text) ? BigInt(text) : text;
    case 'list':
      return text.split(',').filter((part) => part !== '');
    case 'string':
      return text;
  }
}

function flagsOf(settings: readonly Setting[]) {
  const flags: Record<string, { type: 'string' | 'boolean'; multiple?: boolean; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  };
  for (const { flag, kind } of settings) {
    flags[flag] = { type: kind === 'boolean' ? 'boolean' : 'string', multiple: kind === 'list' };
  }
  return flags;
}

function placeholder(setting: Setting): string {
  if (setting.choices !== undefined) return setting.choices.join('|');
  return { boolean: '', number: 'N', bigint: 'N', list: 'A,B', string: 'VALUE' }[setting.kind];
}

function helpOf(name: string, about: string | ConfigAbout, settings: readonly Setting[]): string {
  const { summary, examples = [] } = typeof about === 'string' ? { summary: about } : about;
  const lines = [`${name}: ${summary}`, '', 'Settings, each a flag or an environment variable (flags win):'];
  for (const setting of settings) {
    const byDefault = setting.schema.safeParse(undefined);
    const value = byDefault.success && byDefault.data !== undefined ? byDefault.data : undefined;
    const shown = Array.isArray(value) ? value.join(',') || 'none' : value;
    const note = !byDefault.success ? 'required' : shown === undefined ? 'optional' : `default ${shown}`;
    lines.push(`  --${setting.flag} ${placeholder(setting)}`.trimEnd());
    lines.push(`      ${setting.schema.description ?? ''} (${note}; ${setting.variable})`);
  }
  lines.push('  --help', '      this text');
  if (examples.length > 0) lines.push('', 'Examples:', ...examples.map((example) => `  ${example}`));
  return `${lines.join('\n')}\n`;
}
