// What each service may do on NATS, as subjects: its own and nothing else. One list, for `vkctl up` and for the manifests.
//
//   cohd          broadcasts invalidations; has the buckets of the directory            account DIRECTORY
//   keeper        (vkctl) asks whether they answer; forgets volatile dataspaces         account DIRECTORY
//   pmapd         follows invalidations and replicas; has the store of pages            account PAGES
//   pages-keeper  (vkctl) asks whether the store answers                                account PAGES
//
// Two accounts, because permissions alone do not hold: within one account the server itself publishes for whoever asks. Its
// answer goes to any subject that a request names for it, also one that the asker may not publish to, and a stream may copy
// what it gets to any subject, and from any stream. Of DIRECTORY, PAGES has what is exported, and no way back.
//
// Each user has its own inbox (`_INBOX_<user>`): nobody reads the answers to another. A bucket NAME is the stream `KV_NAME`
// with subjects `$KV.NAME.>`; its API is asked by subjects that name the stream (JetStream's wire API).

export type NatsRole = 'cohd' | 'keeper' | 'pmapd' | 'pages-keeper';
export type NatsAccount = 'DIRECTORY' | 'PAGES';

export interface NatsPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

const ACCOUNT_OF: Record<NatsRole, NatsAccount> = {
  cohd: 'DIRECTORY',
  keeper: 'DIRECTORY',
  pmapd: 'PAGES',
  'pages-keeper': 'PAGES',
};

const DIRECTORY_BUCKETS = [
  'dataspaces',
  'members',
  'directory',
  'replicas',
  'shards',
  'services',
  'programs',
];
const NODE_BUCKETS = ['nodes', 'store'];

const bucketOf = (cluster: string, name: string): string => `odonata-${cluster}-${name}`;
const pagesOf = (cluster: string): string => `odonata-${cluster}-pages`;

/** The streams of a cluster, by the account whose they are. */
export const streamsOf = (cluster: string): Record<NatsAccount, string[]> => ({
  DIRECTORY: DIRECTORY_BUCKETS.map((name) => `KV_${bucketOf(cluster, name)}`),
  PAGES: [pagesOf(cluster), ...NODE_BUCKETS.map((name) => `KV_${bucketOf(cluster, name)}`)],
});

/** What user NAME's answers come on; not under `_INBOX.`, whose `>` somebody may have. */
export const inboxOf = (user: string): string => `_INBOX_${user.replaceAll(/[^A-Za-z0-9_-]/g, '-')}`;

/** To make a bucket, and read and write what has a name. */
const having = (bucket: string): string[] => [
  ...['INFO', 'CREATE', 'MSG.GET'].map((verb) => `$JS.API.STREAM.${verb}.KV_${bucket}`),
  `$KV.${bucket}.>`,
];

/** To be told what is in it and what changes. */
function following(bucket: string): string[] {
  const stream = `KV_${bucket}`;
  return [
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.FC.${stream}.>`,
  ];
}

const storing = (cluster: string): string[] => [
  ...['INFO', 'CREATE', 'UPDATE', 'PURGE', 'MSG.GET'].map(
    (verb) => `$JS.API.STREAM.${verb}.${pagesOf(cluster)}`,
  ),
  `odonata.${cluster}.pages.>`,
];

/** Of DIRECTORY, heard in PAGES: invalidations, and the heartbeats of replicas. */
const exportsOf = (cluster: string): string[] => [
  `odonata.${cluster}.invalidate.>`,
  `$KV.${bucketOf(cluster, 'replicas')}.>`,
];

export function natsPermissions(role: NatsRole, cluster: string, user: string): NatsPermissions {
  const all = (names: readonly string[], of: (bucket: string) => string[]) =>
    names.flatMap((name) => of(bucketOf(cluster, name)));
  // It knocks with a message that must be refused.
  const knock = (bucket: string) => [`$KV.${bucket}.knock`];
  const inbox = `${inboxOf(user)}.>`;
  switch (role) {
    case 'cohd':
      return {
        publish: [
          '$JS.API.INFO',
          `odonata.${cluster}.invalidate.>`,
          ...all(DIRECTORY_BUCKETS, having),
          ...all(DIRECTORY_BUCKETS, following),
        ],
        subscribe: [inbox],
      };
    case 'keeper':
      return {
        publish: [
          ...['$JS.API.INFO', '$JS.API.STREAM.LIST'],
          ...all(['dataspaces'], having),
          ...all(['dataspaces'], following),
          ...all(DIRECTORY_BUCKETS, knock),
        ],
        subscribe: [inbox],
      };
    case 'pmapd':
      return {
        publish: ['$JS.API.INFO', ...all(NODE_BUCKETS, having), ...storing(cluster)],
        subscribe: [inbox, ...exportsOf(cluster)],
      };
    case 'pages-keeper':
      return {
        publish: [
          ...['$JS.API.INFO', '$JS.API.STREAM.LIST', `odonata.${cluster}.pages.knock`],
          ...all(NODE_BUCKETS, knock),
        ],
        subscribe: [inbox],
      };
  }
}

export interface NatsUser {
  readonly user: string;
  /** A word of the configuration language: a quoted text, or `$VARIABLE`. */
  readonly password: string;
  readonly role: NatsRole;
}

/** The part of nats-server's configuration that lets these in, and nobody else. */
export function natsAuthorization(cluster: string, users: readonly NatsUser[]): string {
  const list = (subjects: readonly string[]) =>
    `[${subjects.map((subject) => JSON.stringify(subject)).join(', ')}]`;
  const usersOf = (account: NatsAccount) =>
    users
      .filter(({ role }) => ACCOUNT_OF[role] === account)
      .map(({ user, password, role }) => {
        const { publish, subscribe } = natsPermissions(role, cluster, user);
        return `      { user: ${JSON.stringify(user)}, password: ${password}, permissions: { publish: ${list(publish)}, subscribe: ${list(subscribe)} } }`;
      });
  const shared = (one: (subject: string) => string) =>
    exportsOf(cluster).map((subject) => `      { stream: ${one(JSON.stringify(subject))} }`);
  const account = (name: NatsAccount, way: 'exports' | 'imports', subjects: string[]) => [
    `  ${name} {`,
    '    jetstream: enabled',
    ...['    users: [', ...usersOf(name), '    ]'],
    ...[`    ${way}: [`, ...subjects, '    ]'],
    '  }',
  ];
  return `${[
    'accounts {',
    ...account(
      'DIRECTORY',
      'exports',
      shared((subject) => `${subject}, accounts: [PAGES]`),
    ),
    ...account(
      'PAGES',
      'imports',
      shared((subject) => `{ account: DIRECTORY, subject: ${subject} }`),
    ),
    '}',
  ].join('\n')}\n`;
}
