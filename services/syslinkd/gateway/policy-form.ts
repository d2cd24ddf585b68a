// The fields of a gateway's policy. What is not named in there is denied.
import type { AccessMode } from '@odonata/coherency/page.ts';
import { isAddress } from '@odonata/rpc/address.ts';
import { PERSON } from '@odonata/rpc/identity/identity.ts';
import { CONNECT, isForeign, mayCross } from '@odonata/rpc/syslink/crossing.ts';
import { isName } from '@odonata/syslink/names/name-table.ts';
import { z } from 'zod';

/** Clusters that a gateway knows, and names that one of them may use, or that are used of it. */
export const PEERS_MAX = 64;
export const NAMES_MAX = 256;
const USERS_MAX = 1_024;
const DENIED_MAX = 1_024;

const CLUSTER = /^[a-z0-9][a-z0-9-]{0,30}$/;
const UNITS: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

const whole = (least: number, most: number) =>
  z
    .number(`write a whole number from ${least} to ${most}`)
    .refine(
      (value) => Number.isInteger(value) && value >= least && value <= most,
      `write a whole number from ${least} to ${most}`,
    );

const BYTES = 'write bytes, or a size from 64K to 4G, as 512K, 8M';
const bytes = z.union([z.string(), z.number()], BYTES).transform((value, ctx) => {
  const match = /^(\d{1,10})([KMG]?)$/.exec(String(value));
  const count = match === null ? 0 : Number(match[1]) * UNITS[match[2]!]!;
  if (count >= 2 ** 16 && count <= 2 ** 32) return count;
  ctx.addIssue({ code: 'custom', message: BYTES });
  return z.NEVER;
});

const NAME = 'write PERSON:NAME, or :NAME of the cluster';
const name = z.string(NAME).refine((text) => isName(text) && !isForeign(text), NAME);
const person = z.string('write the name of a person').regex(PERSON, 'write the name of a person');

const METHOD = 'write /package.Service/Method of your own; nothing of odonata itself crosses';
const method = z.string(METHOD).refine((text) => mayCross(text), METHOD);

const exported = z.union(
  [
    name.transform((text) => ({ name: text, methods: [CONNECT] })),
    z.strictObject({ name, methods: z.array(method).min(1, METHOD).max(64) }),
  ],
  NAME,
);
const imported = z.union(
  [
    name.transform((text) => ({ name: text, groups: undefined as string[] | undefined })),
    z.strictObject({ name, groups: z.array(person).max(16).optional() }),
  ],
  NAME,
);

const DATASPACE = 'write the name of a dataspace: 1 to 160 of A-Z a-z 0-9 . _ - /';
const dataspace = z.string(DATASPACE).regex(/^[A-Za-z0-9._/-]{1,160}$/, DATASPACE);
const ACCESS = 'write {name: NAME, access: read} or {name: NAME, access: read-write}';
const MODES = { read: 'READ', 'read-write': 'WRITE' } as const;
const lent = z.union(
  [
    dataspace.transform((name) => ({ name, mode: 'READ' as AccessMode })),
    z
      .strictObject({ name: dataspace, access: z.enum(['read', 'read-write'], ACCESS).default('read') })
      .transform(({ name, access }) => ({ name, mode: MODES[access] as AccessMode })),
  ],
  ACCESS,
);
const distinct = (names: readonly string[]): boolean => new Set(names).size === names.length;
const dataspaces = z.strictObject({
  exports: z
    .array(lent)
    .max(NAMES_MAX)
    .refine((each) => distinct(each.map(({ name }) => name)), 'write each name once')
    .default([]),
  imports: z.array(dataspace).max(NAMES_MAX).refine(distinct, 'write each name once').default([]),
});

const FINGERPRINT = 'write the SHA-256 fingerprint of a certificate: 64 hex digits, colons or none';
const fingerprint = z
  .string(FINGERPRINT)
  .transform((text) => text.replaceAll(':', '').toUpperCase())
  .refine((text) => /^[0-9A-F]{64}$/.test(text), FINGERPRINT);

const peer = z.strictObject({
  name: z.string('write the name of the cluster').regex(CLUSTER, 'write the name of the cluster: a-z 0-9 -'),
  authority: z.string('write the path of its ca.crt'),
  address: z
    .string('write host:port')
    .refine(
      (text) => isAddress(text) && !text.startsWith('unix:'),
      'write host:port, as west.example.org:7443',
    )
    .optional(),
  exports: z.array(exported).max(NAMES_MAX).default([]),
  imports: z.array(imported).max(NAMES_MAX).default([]),
  dataspaces: dataspaces.default({ exports: [], imports: [] }),
  users: z
    .record(
      z.union([person, z.literal('*')], "write the name of a person there, or '*' for all others"),
      person,
    )
    .refine((map) => Object.keys(map).length <= USERS_MAX, `at most ${USERS_MAX} users`)
    .default({}),
  denied: z.array(fingerprint).max(DENIED_MAX).default([]),
  rates: z
    .strictObject({
      messages: whole(1, 1_000_000).default(1_000),
      bytes: bytes.default(8 * 2 ** 20),
      circuits: whole(1, 1_000).default(256),
      requests: whole(1, 4_000).default(256),
    })
    .default({ messages: 1_000, bytes: 8 * 2 ** 20, circuits: 256, requests: 256 }),
});

export const policyForm = z.strictObject({
  listen: z
    .string('write host:port')
    .refine((text) => isAddress(text) && !text.startsWith('unix:'), 'write host:port, as 0.0.0.0:7443')
    .optional(),
  memory: bytes.default(256 * 2 ** 20),
  peers: z
    .array(peer, 'write a list of peers, each with name and authority')
    .min(1, 'write a peer at least: name and authority')
    .max(PEERS_MAX),
});

export type PeerForm = z.infer<typeof peer>;
