// What machines and the door say to each other, by HTTPS and as JSON: a machine that joins has no certificate to come in with by
// gRPC. Both ends read by these, so what is of another form, or larger, ends there.
import { isAddress } from '@odonata/rpc/address.ts';
import { z } from 'zod';

export const BODY_BYTES_MAX = 8 * 1024 * 1024;
/** What a machine says is small; lists of people and of what was revoked may be long. */
export const REQUEST_BYTES_MAX = 32 * 1024;
/** Clocks that differ by more make certificates that do not count yet. */
export const CLOCK_MS = 240_000;

export const PATHS = { join: '/v1/join', look: '/v1/look', leave: '/v1/leave' } as const;

const pem = z.string().max(8_192).includes('-----BEGIN ');
const word = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^\P{Cc}*$/u);
const address = z.string().max(300).refine(isAddress);
/** `node7`: sockets have its name in their path, and such a path is short. */
export const NODE_NAME = /^node([1-9]\d?)$/;
const nodeName = z.string().regex(NODE_NAME);

export const joinRequest = z.object({
  version: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{12}$/),
  secret: z.string().regex(/^[A-Za-z0-9_-]{27}$/),
  /** Absent: the next one that is free. */
  name: nodeName.optional(),
  /** Of its pmap manager. */
  address,
  requests: z.object({ pmapd: pem, vkerneld: pem }),
  nowMs: z.number(),
  wire: z.object({ oldest: z.number().int(), newest: z.number().int() }),
  release: word(64),
});
export type JoinRequest = z.infer<typeof joinRequest>;

/** SHA-256 of lists, by which they are said once and not each second. */
const stamp = z.string().regex(/^[0-9a-f]{64}$/);

/** Who counts no more, who is in, and where the services of the cluster are. */
const lists = z.object({
  revoked: z.string(),
  people: z.string(),
  /** Of the routers, with commas between. */
  routers: z.string().max(4_096),
  nats: address,
  directories: z.array(address).min(1).max(64),
});
export type Lists = z.infer<typeof lists>;

export const joinAnswer = lists.extend({
  version: z.literal(1),
  cluster: z.string().regex(/^[a-z0-9][a-z0-9-]{0,30}$/),
  node: z.object({ name: nodeName, index: z.number().int().positive() }),
  certificates: z.object({ pmapd: pem, vkerneld: pem }),
  natsUser: word(128),
  natsPassword: word(128),
});
export type JoinAnswer = z.infer<typeof joinAnswer>;

export const NODE_STATES = ['starting', 'ready', 'draining', 'drained', 'down'] as const;

export const lookRequest = z.object({
  state: z.enum(NODE_STATES),
  /** Where it is reached now. */
  address,
  release: word(64),
  load: z.number(),
  /** Of the lists that it has. */
  known: stamp.optional(),
  processors: z.number().int().min(0).max(65_536),
  /** It lodges on a machine of another cluster, and may have so much of it, 0: what there is; absent: all is its own. */
  lodges: z
    .object({
      memoryBytes: z.number().int().min(0),
      cpuMillis: z.number().int().min(0).max(1_000_000),
      processes: z.number().int().min(0).max(65_536),
    })
    .optional(),
});
export type LookRequest = z.infer<typeof lookRequest>;

export const lookAnswer = z.object({
  /** Absent: those that it has are as they are. */
  lists: z.object({ revoked: z.string(), people: z.string(), stamp }).optional(),
  /** It is to hand over what it has, and rest. */
  rest: z.boolean(),
  /** Only where it starts: what of it is not there yet. */
  waitingFor: z.array(word(128)).max(8),
});
export type LookAnswer = z.infer<typeof lookAnswer>;

export const REFUSALS = [
  'TOKEN_UNKNOWN',
  'TOKEN_OVER',
  'TOKEN_USED',
  'NAME_TAKEN',
  'FULL',
  'EVER_FULL',
  'CLOCK',
  'VERSION',
  'BAD_REQUEST',
  'BUSY',
  'NOT_IN',
  'BROKEN',
] as const;
export type Refusal = (typeof REFUSALS)[number];

export const refusalAnswer = z.object({ error: z.enum(REFUSALS), text: word(1_000) });

/** The door says no. */
export class DoorRefusal extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal, text: string) {
    super(text);
    this.refusal = refusal;
  }
}
