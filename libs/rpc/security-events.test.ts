import { expect, test } from 'vitest';
import { EventLog } from './events.ts';
import { createLog } from './log.ts';
import { Metrics } from './metrics.ts';
import { SecurityEvents } from './security-events.ts';

test('all are counted, the first ones of each are told, and whoever makes many hides nobody else', async () => {
  let nowMs = 0;
  const events = new EventLog({ service: 's', log: createLog('test', 'silent') });
  const security = new SecurityEvents(events, () => nowMs);
  const metrics = new Metrics('pmapd');
  security.countIn(metrics);
  for (let i = 0; i < 1_000; i++)
    security.refused('message', 'mallory/evil', `lie ${i}`, { vkernel: 'evil' });
  security.refused('identity', 'mallory/evil', 'says bob');
  security.refused('message', 'bob/odd', 'another one');
  const told = () => events.all().map(({ kind, text }) => `${kind}: ${text}`);
  expect(told()).toEqual([
    ...['lie 0', 'lie 1', 'lie 2', 'says bob', 'another one'].map((text) => `security: ${text}`),
  ]);
  expect(events.all()[0]!.subject).toEqual({ attempt: 'message', peer: 'mallory/evil', vkernel: 'evil' });
  for (let i = 0; i < 1_000; i++) security.refused('message', `peer${i}`, 'x');
  expect(told().length).toBe(100);
  nowMs = 60_001;
  security.refused('message', 'mallory/evil', 'a minute later');
  expect(told().at(-1)).toBe('security: a minute later');
  expect(await metrics.registry.metrics()).toContain(
    'odonata_pmapd_security_refusals_total{attempt="message"} 2002',
  );
});
