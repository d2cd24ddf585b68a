import { z } from 'zod';
import { count } from './terms.ts';

export const instance = z.strictObject({
  replica: count,
  node: z.string().describe('empty: nowhere'),
  vkernel: z.string(),
  state: z.enum(['starting', 'running', 'healthy', 'backoff', 'stopping', 'ended', 'failed', 'lost']),
  pid: count.describe('0: none'),
  lastPid: count.describe('its process before, where that ended badly; 0: none'),
  generation: count,
  restarts: count,
  moves: count.describe('how often another node took it'),
  code: z.int(),
  reason: z.string(),
});

const unplaced = z.strictObject({ replicas: z.int(), why: z.string() });
export const service = z.strictObject({
  name: z.string(),
  user: z.string(),
  program: z.string(),
  generation: count,
  replicas: count,
  state: z.enum(['ready', 'waits', 'rolls out', 'failed', 'goes']),
  waitsFor: z.array(z.string()),
  unplaced: unplaced.optional().describe('replicas that no node may take, and why'),
  instances: z.array(instance),
});

export const applied = z.strictObject({
  name: z.string(),
  outcome: z.enum(['created', 'changed', 'unchanged']),
  generation: count,
});
export const scaled = z.strictObject({ name: z.string(), replicas: count });
export const removed = z.strictObject({ name: z.string() });
export const output = z.strictObject({
  replica: count,
  stream: z.enum(['stdout', 'stderr']),
  data: z.string().describe('base64'),
  droppedBytes: count,
});
