// The fields of a service's file, with the names that compose (docs.docker.com/reference/compose-file) and systemd have for the same.
import { z } from 'zod';
import { parseSize } from '../size.ts';
import { durationMs } from './duration.ts';

const NAME = /^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$/;
const name = z.string().regex(NAME, 'use 1 to 24 of a-z 0-9 -');
/** YAML reads 80 and true as what they look like. */
const word = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const words = z.array(word);

const span = (least: string, most: string) =>
  z.string('write a time, as 500ms, 10s, 1m30s').transform((text, ctx) => {
    const ms = durationMs(text);
    if (ms !== undefined && ms >= durationMs(least)! && ms <= durationMs(most)!) return ms;
    ctx.addIssue({
      code: 'custom',
      message: `"${text}" is no time from ${least} to ${most}: write 500ms, 10s, 1m30s`,
    });
    return z.NEVER;
  });
const size = z.union([z.string(), z.number()]).transform((value, ctx) => {
  try {
    return parseSize(String(value), '');
  } catch {
    ctx.addIssue({ code: 'custom', message: `"${value}" is no size: write 64M, 1G` });
    return z.NEVER;
  }
});
const sizeFrom = (least: number, shown: string) =>
  size.refine((value) => value >= least, `${shown} is the least`);
const whole = (least: number, most: number) =>
  z
    .number(`write a whole number from ${least} to ${most}`)
    .refine(
      (value) => Number.isInteger(value) && value >= least && value <= most,
      `write a whole number from ${least} to ${most}`,
    );

const environment = z.union([
  words.refine((list) => list.every((each) => each.indexOf('=') > 0), 'write NAME=VALUE'),
  z.record(z.string(), word).transform((map) => Object.entries(map).map(([key, value]) => `${key}=${value}`)),
]);

const volume = z.string('write HOST:GUEST, or HOST:GUEST:ro').transform((text, ctx) => {
  const [hostPath = '', guestPath = '', mode = 'rw', ...more] = text.split(':');
  if (hostPath !== '' && guestPath !== '' && more.length === 0 && (mode === 'ro' || mode === 'rw'))
    return { hostPath, guestPath, readOnly: mode === 'ro' };
  ctx.addIssue({ code: 'custom', message: `"${text}" is no volume: write HOST:GUEST, or HOST:GUEST:ro` });
  return z.NEVER;
});

const RESTART = 'write no, on-failure, on-failure:5, always or always:5';
const restart = z.union([z.string(), z.boolean()], RESTART).transform((value, ctx) => {
  // YAML 1.1 reads no as false; ours does not, and some files say so.
  const match = /^(no|on-failure|always)(?::(\d{1,6}))?$/.exec(value === false ? 'no' : String(value));
  if (match !== null && !(match[1] === 'no' && match[2] !== undefined))
    return { policy: match[1] as 'no' | 'on-failure' | 'always', max: Number(match[2] ?? 10) };
  ctx.addIssue({ code: 'custom', message: `"${value}" is no way to restart: ${RESTART}` });
  return z.NEVER;
});

const CONDITIONS = ['service_started', 'service_healthy', 'service_completed_successfully'] as const;
const condition = z.strictObject({ condition: z.enum(CONDITIONS, `write ${CONDITIONS.join(', ')}`) });
const dependsOn = z.union([
  z
    .array(name)
    .transform((list) =>
      list.map((service) => ({ service, condition: 'service_started' as (typeof CONDITIONS)[number] })),
    ),
  z
    .record(name, condition)
    .transform((map) => Object.entries(map).map(([service, each]) => ({ service, ...each }))),
]);

const healthcheck = z.strictObject({
  test: words
    .transform((list) => (list[0] === 'CMD' ? list.slice(1) : list))
    .refine((list) => list.length > 0, 'write [PROGRAM, ARGUMENT, ...]'),
  interval: span('100ms', '1h').default(30_000),
  timeout: span('100ms', '1h').default(30_000),
  retries: whole(1, 1_000).default(3),
  start_period: span('0s', '1h').default(0),
});

export const serviceForm = z.strictObject({
  name,
  program: z.string('write the path of a .wasm file'),
  command: words.default([]),
  environment: environment.default([]),
  volumes: z.array(volume).default([]),
  listen: z.array(word).default([]),
  listen_on: z.array(word).default([]),
  connect: z.array(word).default([]),
  resources: z
    .strictObject({
      memory: sizeFrom(2 ** 20, '1M').optional(),
      cpus: z
        .number('write a number, as 0.5')
        .refine((value) => value >= 0.01 && value <= 1_000, 'write a number from 0.01 to 1000')
        .optional(),
      cpu_weight: whole(1, 10_000).optional(),
      processes: whole(1, 256).optional(),
      dataspaces: whole(1, 1_000_000).optional(),
      disk: sizeFrom(2 ** 16, '64K').optional(),
      descriptors: whole(1, 1_000_000).optional(),
    })
    .default({}),
  restart: restart.default({ policy: 'on-failure', max: 10 }),
  restart_delay: span('100ms', '1h').default(1_000),
  restart_max_delay: span('100ms', '1h').default(60_000),
  healthcheck: healthcheck.optional(),
  depends_on: dependsOn.default([]),
  replicas: whole(0, 100).optional(),
  placement: z
    .strictObject({ nodes: z.array(z.string()).default([]), max_replicas_per_node: whole(0, 100).default(0) })
    .default({ nodes: [], max_replicas_per_node: 0 }),
  stop_grace_period: span('0s', '10m').default(10_000),
});

export type ServiceForm = z.infer<typeof serviceForm>;
