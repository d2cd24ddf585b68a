// Which pages the site has, in which order: what stands at the left.

export interface Entry {
  readonly text: string;
  /** A page of the repository, or one that is made. */
  readonly page: string;
}

export interface Part {
  readonly text: string;
  readonly entries: readonly Entry[];
  readonly collapsed?: boolean;
}

const docs = (pages: Readonly<Record<string, string>>): Entry[] =>
  Object.entries(pages).map(([name, text]) => ({ text, page: `docs/${name}.md` }));

/** @param services of the .proto files, by the page that is made of each file */
export function menu(services: readonly Entry[], isMeasured: boolean): Part[] {
  return [
    {
      text: 'Concepts',
      entries: [
        { text: 'What Odonata is', page: 'README.md' },
        ...docs({
          concepts: 'Pages, holders, shards',
          'a-fault': 'A fault, function by function',
          'where-a-fault-goes': 'Where a fault goes',
          'where-a-start-goes': 'Where a start goes',
          syslink: 'Messages and routes',
        }),
        { text: 'The protocol', page: 'libs/coherency/PROTOCOL.md' },
      ],
    },
    {
      text: 'Tutorials',
      entries: docs({
        'tutorials/first-cluster': 'A first cluster',
        'tutorials/share-memory': 'Share memory',
        'tutorials/service': 'A service',
        'tutorials/people': 'Let somebody in',
        'tutorials/two-clusters': 'Two clusters',
      }),
    },
    {
      text: 'Write programs',
      entries: docs({
        programs: 'Languages, POSIX, threads',
        files: 'Files of programs',
        names: 'Programs that talk by names',
        processes: 'Programs that start programs',
        logins: 'Logins',
        terminals: 'Terminals',
        'guest-api': 'Module odonata',
        javascript: 'Programs of Node',
        'sharing-well': 'Share well',
        contention: 'Pages that are fought over',
        durable: 'Durable dataspaces',
      }),
    },
    {
      text: 'Operate',
      entries: [
        ...docs({
          administer: 'Running a cluster for others',
          inspect: 'Look at a cluster',
          services: 'Services',
          gateways: 'Gateways to other clusters',
          console: 'The console',
          scripts: 'Scripts and shells',
          events: 'Events',
          traces: 'Traces',
          runbook: 'Alerts: what to do',
          memory: 'Memory of a node',
          quotas: 'Cutting up a machine',
          vmspaces: 'Address spaces',
          snapshots: 'Snapshots of programs',
          parked: 'Parked programs',
          upgrade: 'Restarts and upgrades',
          machines: 'Several machines',
          'several-clusters': 'One machine in several clusters',
          identity: 'Who is who',
          ownership: 'Whose things are whose',
          limits: 'Limits',
        }),
        { text: 'Security', page: 'SECURITY.md' },
        { text: 'Kubernetes', page: 'k8s/README.md' },
      ],
    },
    {
      text: 'Reference',
      entries: [
        { text: 'Commands', page: 'reference/commands.md' },
        { text: 'JSON of commands', page: 'reference/json.md' },
        ...services,
        ...docs({ access: 'Who may call what', licences: 'Licences' }),
        { text: 'Changes', page: 'CHANGELOG.md' },
      ],
    },
    {
      text: 'Measured',
      entries: [
        ...(isMeasured ? [{ text: 'The last run', page: 'reference/measured.md' }] : []),
        { text: 'Benches', page: 'test/bench/README.md' },
        { text: 'The directory', page: 'test/bench/directory/README.md' },
        { text: 'Scale', page: 'test/scale/README.md' },
      ],
    },
  ];
}
