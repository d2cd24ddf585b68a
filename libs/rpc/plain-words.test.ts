import { EventService } from '@odonata/proto/event/v1/event';
import { expect, test } from 'vitest';
import { createClient } from './client.ts';
import { inPlainWords, noAnswer } from './plain-words.ts';

const callee = { path: '/odonata.pmap.v1.PmapService/GetNodeStats', address: 'dns:127.0.0.1:7000' };

test.each([
  ['Deadline exceeded', '127.0.0.1:7000 did not answer in time (GetNodeStats)'],
  [
    'Deadline exceeded after 4.687s,metadata filters: 0.001s,remote_addr=127.0.0.1:7000',
    '127.0.0.1:7000 did not answer within 4.7 s (GetNodeStats)',
  ],
  [
    'Deadline exceeded after 20.000s,name resolution: 0.001s,wait_for_ready,Waiting for LB pick',
    'cannot connect to 127.0.0.1:7000 within 20 s',
  ],
  [
    'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:7000. Resolution note: ',
    'cannot connect to 127.0.0.1:7000: refused',
  ],
  [
    'No connection established. Last error: null. Resolution note: ',
    'cannot connect to 127.0.0.1:7000: no answer',
  ],
  ['Name resolution failed for target dns:nowhere:1', 'cannot connect to 127.0.0.1:7000: no such host'],
  ['Connection dropped', 'the connection to 127.0.0.1:7000 broke'],
  ['read ECONNRESET', 'the connection to 127.0.0.1:7000 broke: connection reset by peer'],
  [
    'Received RST_STREAM with code 2 (Internal server error)',
    'the connection to 127.0.0.1:7000 broke (HTTP/2 code 2)',
  ],
  [
    'Received HTTP status code 404',
    '127.0.0.1:7000 is no service of Odonata: it answers with HTTP status 404',
  ],
  ['no dataspace "x"; vkctl ds ls lists them', 'no dataspace "x"; vkctl ds ls lists them'],
])('%s', (details, words) => {
  expect(inPlainWords(details, callee)).toBe(words);
});

test('who did not answer, and to what', () => {
  expect(noAnswer('node1/pmapd', 5000, callee.path)).toBe(
    'node1/pmapd did not answer within 5 s (GetNodeStats)',
  );
});

test('a call to a port where nobody listens is refused in one line', async () => {
  const client = createClient(EventService, '127.0.0.1:9');
  try {
    await expect(client.listEvents({})).rejects.toMatchObject({
      details: 'cannot connect to 127.0.0.1:9: refused',
    });
    await expect(client.listEvents({}, { waitForReady: true, deadlineMs: 150 })).rejects.toMatchObject({
      details: expect.stringMatching(/^cannot connect to 127\.0\.0\.1:9 within [\d.]+ (ms|s)$/),
    });
  } finally {
    client.close();
  }
});
