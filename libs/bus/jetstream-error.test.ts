import { Code } from '@odonata/rpc/error.ts';
import { NatsError } from 'nats';
import { expect, test } from 'vitest';
import { jetStreamError, troubleOf } from './jetstream-error.ts';

/** As the client makes it of an answer: its own code is that of HTTP. */
function answer(code: number, err_code: number, description: string): NatsError {
  const error = new NatsError(description, String(code));
  error.api_error = { code, err_code, description };
  return error;
}

test.each([
  [new NatsError('TIMEOUT', 'TIMEOUT'), 'SILENT', Code.Unavailable],
  [new NatsError('CONNECTION_CLOSED', 'CONNECTION_CLOSED'), 'SILENT', Code.Unavailable],
  [new Error('anything'), 'SILENT', Code.Unavailable],
  [new NatsError('503', '503'), 'OFF', Code.Unavailable],
  [answer(503, 10076, 'JetStream not enabled'), 'OFF', Code.Unavailable],
  [answer(503, 10008, 'JetStream system temporarily unavailable'), 'UNREADY', Code.Unavailable],
  [answer(400, 10005, 'no suitable peers for placement'), 'UNREADY', Code.Unavailable],
  [
    answer(400, 10005, 'no suitable peers for placement, insufficient storage'),
    'NO_SPACE',
    Code.ResourceExhausted,
  ],
  [answer(500, 10047, 'insufficient storage resources available'), 'NO_SPACE', Code.ResourceExhausted],
  [answer(503, 10077, 'maximum bytes exceeded'), 'NO_SPACE', Code.ResourceExhausted],
  [answer(503, 10077, 'write /data/1.blk: no space left on device'), 'NO_SPACE', Code.ResourceExhausted],
  [
    answer(400, 10058, 'stream name already in use with a different configuration'),
    'REFUSED',
    Code.FailedPrecondition,
  ],
] as const)('%s is %s', (error, trouble, code) => {
  expect(troubleOf(error)).toBe(trouble);
  const said = jetStreamError(error, 'the backing store');
  expect(said.code).toBe(code);
  // Who was answered does not say that there was no answer.
  expect(/does not answer/.test(said.details)).toBe(trouble === 'SILENT');
});
