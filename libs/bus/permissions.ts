// What each service may do on NATS, as subjects: its own and nothing else. One list, for `vkctl up` and for what is checked of
// the manifests.
//
//   cohd      broadcasts invalidations; has the buckets of the directory
//   pmapd     follows invalidations; reads who the replicas are; claims its number; has the store of pages
//   keeper    (vkctl) asks whether streams answer; forgets volatile dataspaces of an earlier life
//
// Each user has its own inbox (`_INBOX_<user>`): nobody reads the answers to another. A bucket NAME is the stream `KV_NAME`
// with subjects `$KV.NAME.>`; its API is asked by subjects that name the stream (JetStream's wire API).

export type NatsRole = 'cohd' | 'pmapd' | 'keeper';

export interface NatsPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

const DIRECTORY_BUCKETS = ['dataspaces', 'members', 'directory', 'replicas', 'shards'];
const NODE_BUCKETS = ['nodes', 'store'];

const bucketOf = (cluster: string, name: string): string => `odonata-${cluster}-${name}`;
const pagesOf = (cluster: string): string => `odonata-${cluster}-pages`;

/** What user NAME's answers come on; not under `_INBOX.`, whose `>` somebody may have. */
export const inboxOf = (user: string): string => `_INBOX_${user.replaceAll(/[^A-Za-z0-9_-]/g, '-')}`;

/** To read a bucket, and follow it. */
function reading(bucket: string): string[] {
  const stream = `KV_${bucket}`;
  return [
    `$JS.API.STREAM.INFO.${stream}`,
    `$JS.API.STREAM.MSG.GET.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.FC.${stream}.>`,
    `$JS.ACK.${stream}.>`,
  ];
}

/** To make it and write it, too. */
const having = (bucket: string): string[] => [
  ...reading(bucket),
  `$JS.API.STREAM.CREATE.KV_${bucket}`,
  `$JS.API.STREAM.UPDATE.KV_${bucket}`,
  `$KV.${bucket}.>`,
];

const storing = (cluster: string): string[] => [
  ...['INFO', 'CREATE', 'UPDATE', 'PURGE', 'MSG.GET'].map(
    (verb) => `$JS.API.STREAM.${verb}.${pagesOf(cluster)}`,
  ),
  `odonata.${cluster}.pages.>`,
];

export function natsPermissions(role: NatsRole, cluster: string, user: string): NatsPermissions {
  const all = (names: readonly string[], of: (bucket: string) => string[]) =>
    names.flatMap((name) => of(bucketOf(cluster, name)));
  const invalidations = `odonata.${cluster}.invalidate.>`;
  const inbox = `${inboxOf(user)}.>`;
  switch (role) {
    case 'cohd':
      return {
        publish: ['$JS.API.INFO', invalidations, ...all(DIRECTORY_BUCKETS, having)],
        subscribe: [inbox],
      };
    case 'pmapd':
      return {
        // Whoever comes first makes a bucket; who the replicas are is said by these alone.
        publish: [
          '$JS.API.INFO',
          ...all(['replicas'], reading),
          `$JS.API.STREAM.CREATE.KV_${bucketOf(cluster, 'replicas')}`,
          ...all(NODE_BUCKETS, having),
          ...storing(cluster),
        ],
        subscribe: [inbox, invalidations],
      };
    case 'keeper':
      return {
        publish: [
          ...['$JS.API.INFO', '$JS.API.STREAM.LIST', '$JS.API.STREAM.NAMES'],
          ...all(['dataspaces'], having),
          // It knocks with a message that must be refused.
          ...[...DIRECTORY_BUCKETS, ...NODE_BUCKETS].map((name) => `$KV.${bucketOf(cluster, name)}.knock`),
          `odonata.${cluster}.pages.knock`,
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
  const entries = users.map(({ user, password, role }) => {
    const { publish, subscribe } = natsPermissions(role, cluster, user);
    return `    { user: ${JSON.stringify(user)}, password: ${password}, permissions: { publish: ${list(publish)}, subscribe: ${list(subscribe)} } }`;
  });
  return `authorization {\n  users: [\n${entries.join('\n')}\n  ]\n}\n`;
}
