import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EndpointKind, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from './client.ts';
import { readConfig, serviceConfig } from './config.ts';
import { Code, type RpcError } from './error.ts';
import { useTls } from './identity/own.ts';
import { silentLog } from './log.ts';
import { createRpcServer } from './server.ts';

let folder: string;
const ours = () => join(folder, 'ours');
const strangers = () => join(folder, 'strangers');
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-tls-'));
  const script = join(import.meta.dirname, '../../k8s/components/tls-self-signed/make-certificates.sh');
  for (const dir of [ours(), strangers()]) execFileSync('sh', [script, dir], { stdio: 'ignore' });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => useTls(''));

async function serve() {
  useTls(ours());
  const server = createRpcServer({ name: 't', log: silentLog() }).add(VkernelService, {
    listVkernels: (_request, { peer }) => ({ vkernels: [{ name: peer }] }),
  });
  const address = await server.listen('127.0.0.1:0');
  return { server, address };
}

async function callWith(dir: string, address: string): Promise<string | RpcError> {
  useTls(dir);
  const client = createClient(VkernelService, address);
  try {
    return (await client.listVkernels({}, { deadlineMs: 3_000 })).vkernels[0]!.name;
  } catch (error) {
    return error as RpcError;
  } finally {
    client.close();
  }
}

describe('mutual TLS', () => {
  it('lets in who shows a certificate of the same authority, and nobody else', async () => {
    const { server, address } = await serve();
    try {
      expect(await callWith(ours(), address)).toMatch(/^127\.0\.0\.1:\d+$/);
      for (const dir of ['', strangers()]) {
        expect(await callWith(dir, address), `with ${dir || 'no TLS'}`).toMatchObject({
          code: Code.Unavailable,
        });
      }
    } finally {
      await server.drain(100);
    }
  });

  it('is not for unix sockets', async () => {
    useTls(ours());
    const server = createRpcServer({ name: 't', log: silentLog() }).add(RouterService, {
      listEndpoints: () => ({ endpoints: [{ name: 'x', kind: EndpointKind.CLIENT }] }),
    });
    const address = await server.listen(`unix:${folder}/s`);
    useTls('');
    const client = createClient(RouterService, address);
    expect((await client.listEndpoints({})).endpoints).toHaveLength(1);
    client.close();
    await server.drain(100);
  });

  it('keeps the windows of streams wide', async () => {
    const { readFileSync } = await import('node:fs');
    const { connect } = await import('node:http2');
    const { server, address } = await serve();
    const read = (file: string) => readFileSync(join(ours(), file));
    const session = connect(`https://${address}`, {
      ...{ ca: read('ca.crt'), key: read('tls.key'), cert: read('tls.crt') },
      checkServerIdentity: () => undefined,
    });
    const windowBytes = await new Promise((resolve, reject) => {
      session.once('remoteSettings', (settings) => resolve(settings.initialWindowSize));
      session.once('error', reject);
    });
    expect(windowBytes).toBe(1024 * 1024);
    session.close();
    await server.drain(100);
  });

  it('is refused as a setting where files are missing', () => {
    const result = readConfig('cohd', 'x', serviceConfig, ['--tls-dir', folder], {});
    expect(result).toMatchObject({
      kind: 'error',
      text: `cohd: --tls-dir: "${folder}": tls.crt, tls.key, ca.crt cannot be read there (see cohd --help)`,
    });
  });
});
