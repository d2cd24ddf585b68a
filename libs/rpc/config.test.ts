import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { commonConfig, readConfig } from './config.ts';

const shape = {
  ...commonConfig,
  listen: z.string().default('127.0.0.1:0').describe('address to listen on'),
  leaseMs: z.number().int().min(10).default(2000).describe('lease in milliseconds'),
  framesBytes: z.bigint().default(0n).describe('memory'),
  node: z.string().min(1).describe('name of the node'),
  allowDir: z.array(z.string()).default([]).describe('roots'),
  verbose: z.boolean().default(false).describe('more'),
};
const read = (argv: string[], env: NodeJS.ProcessEnv = {}) =>
  readConfig('cohd', { summary: 'directory', examples: ['cohd --node a'] }, shape, argv, env);
const error = (argv: string[], env: NodeJS.ProcessEnv = {}) => {
  const result = read(argv, env);
  expect(result.kind).toBe('error');
  return result.kind === 'error' ? result.text : '';
};

describe('config', () => {
  it('takes flags over environment over defaults', () => {
    const result = read(
      [
        '--lease-ms',
        '500',
        '--allow-dir=/a',
        '--allow-dir',
        '/b,/c',
        '--verbose',
        '--frames-bytes',
        '68719476736',
      ],
      { ODONATA_COHD_LEASE_MS: '700', ODONATA_COHD_NODE: 'node1' },
    );
    expect(result).toEqual({
      kind: 'config',
      config: {
        logLevel: 'info',
        listen: '127.0.0.1:0',
        leaseMs: 500,
        framesBytes: 68719476736n,
        node: 'node1',
        allowDir: ['/a', '/b', '/c'],
        verbose: true,
      },
    });
  });

  it('says in one line what is wrong, where, and how to mend it', () => {
    const node = { ODONATA_COHD_NODE: 'n' };
    expect(error([])).toMatch(
      /^cohd: --node is missing: give --node VALUE or set ODONATA_COHD_NODE \(see cohd --help\)$/,
    );
    expect(error(['--lease-ms', 'soon'], node)).toContain('--lease-ms: "soon":');
    expect(error([], { ...node, ODONATA_COHD_LEASE_MS: '5' })).toContain('ODONATA_COHD_LEASE_MS: "5":');
    expect(error(['--log-level', 'loud'], node)).toContain('--log-level: "loud":');
    expect(error(['--what'], node)).toContain("Unknown option '--what'");
    expect(error(['stray'], node)).toContain('stray');
    for (const argv of [['--what'], ['stray'], ['--lease-ms', 'soon']])
      expect(error(argv, node)).not.toContain('\n');
  });

  it('help names each setting with its variable, default and the examples', () => {
    const result = read(['--help']);
    expect(result.kind === 'help' && result.text).toMatch(
      /--lease-ms N\n.*lease in milliseconds \(default 2000; ODONATA_COHD_LEASE_MS\)/,
    );
    expect(result.kind === 'help' && result.text).toContain('cohd --node a');
    expect(result.kind === 'help' && result.text).toContain('name of the node (required;');
  });
});
