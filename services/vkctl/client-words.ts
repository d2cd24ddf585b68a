// The errors of libs/client in the words of vkctl: what its flags are called, and which command mends it.
import { type ClientReason, type ClientReasons, clientReason } from '@odonata/client/client-error.ts';
import { contextInUse, knownContext } from '@odonata/client/local/contexts.ts';
import { knownMembership } from './machine/known-membership.ts';

export interface Words {
  what: string;
  fix?: string;
  /** What was typed is wrong. */
  usage?: boolean;
}

const SEE_STATUS = 'See: vkctl status';
/** For who is not, or no more, let in. */
export const NEW_CONTEXT =
  'Ask an admin of the cluster for a new context (vkctl user add NAME), then: vkctl context add --replace FILE';
const LIST = 'List them with: vkctl ps -a';
const flagOf = (cluster: string): string => (cluster === 'default' ? '' : ` --cluster ${cluster}`);

const WORDS: { [R in ClientReason]?: (about: ClientReasons[R]) => Words } = {
  BAD_CLUSTER_NAME: ({ from, name }) => ({
    what: `${from === 'cluster' ? '--cluster' : from}: "${name}" is not a cluster name`,
    fix: 'Use 1 to 31 of a-z, 0-9 and -, not starting with -.',
    usage: true,
  }),
  NO_HOME: ({ uid }) => ({
    what: `user ${uid} has no home folder, and HOME is not set`,
    fix: 'Set ODONATA_HOME to a folder that can be written.',
  }),
  BAD_ADDRESS: ({ from, address }) => ({
    what: `${from}: "${address}" is no address`,
    fix: 'Use host:port, several with commas.',
    usage: true,
  }),
  NO_IDENTITY: ({ tlsDir, why }) =>
    /ENOENT/.test(why)
      ? {
          what: `${tlsDir} is gone, and with it what shows the cluster who you are`,
          fix: 'End a cluster of this machine with: vkctl down. For one elsewhere give ODONATA_TLS_DIR a folder with tls.crt, tls.key and ca.crt.',
        }
      : {
          what: `${tlsDir} holds no identity to show to the cluster: ${why}`,
          fix: 'Give ODONATA_TLS_DIR a folder with tls.crt, tls.key and ca.crt.',
        },
  NOT_UP: notUp,
  ONLY_A_NODE: ({ node, of, routers }) => ({
    what: `this machine is ${node} of cluster "${of}", and nobody here has a certificate of that cluster`,
    fix: `An admin makes one for ${routers.replaceAll(',', ', ')}: vkctl user add NAME; then here: vkctl context add FILE`,
  }),
  GOES_DOWN: ({ cluster }) => ({ what: `cluster "${cluster}" goes down` }),
  NO_RECORD: ({ cluster, supervisor, file }) => ({
    what: `cluster "${cluster}" runs (supervisor ${supervisor}), but cannot write its record ${file}`,
    fix: `End it with: vkctl down${flagOf(cluster)}`,
  }),
  ROUTERS_SILENT: silentRouters,
  ROUTERS_STRANGE: ({ cluster, routers }) => ({
    what: `at ${routers.replaceAll(',', ', ')} answers another cluster than the "${cluster}" that you were let into, or that began anew`,
    fix: NEW_CONTEXT,
  }),
  CERTIFICATE_OVER: ({ cluster, tlsDir, day }) => ({
    what: `your certificate for cluster "${cluster}" is over since ${day} (${tlsDir})`,
    fix: NEW_CONTEXT,
  }),
  NO_NODE: ({ cluster, node, nodes }) => ({
    what: `no node "${node}" in cluster "${cluster}"`,
    fix: `Nodes: ${nodes}.`,
  }),
  NO_PMAPD: ({ cluster, node }) => ({
    what:
      node === '' ? `no node of cluster "${cluster}" has its pmapd now` : `node "${node}" has no pmapd now`,
    fix: SEE_STATUS,
  }),
  NO_VKERNELD: ({ node }) => ({ what: `node "${node}" has no vkerneld now`, fix: SEE_STATUS }),
  NODE_RESTS: ({ node }) => ({
    what: `node "${node}" was drained, and rests`,
    fix: `It works again with: vkctl node resume ${node}`,
  }),
  NO_VKERNEL: ({ cluster, vkernel, node }) => ({
    what: `no virtual kernel "${vkernel}" of yours is ${node === '' ? `in cluster "${cluster}"` : `on node "${node}"`}`,
    fix: 'vkctl vkernel ls shows them; vkctl run --vkernel, and vkctl vkernel create, make one',
  }),
  NO_PLACE: ({ cluster, but }) => ({
    what: `no node of cluster "${cluster}"${but} takes programs now`,
    fix: SEE_STATUS,
  }),
  TWO_NODES: ({ node, vkernel }) => ({
    what: `--node ${node} and --vkernel ${vkernel} are on different nodes`,
    usage: true,
  }),
  NO_PROCESS: ({ cluster, pid }) => ({ what: `no process ${pid} in cluster "${cluster}"`, fix: LIST }),
  NO_CONTEXT: ({ context, contexts }) => ({
    what: `no context "${context}"`,
    fix: contexts === 'none' ? 'Add one with: vkctl context add FILE' : `There are: ${contexts}.`,
  }),
  NO_SIZE: ({ dataspace }) => ({
    what: `ds load: no dataspace "${dataspace}"`,
    fix: 'To make it, give --size.',
  }),
};

function silentRouters({ cluster, routers }: ClientReasons['ROUTERS_SILENT']): Words {
  const list = routers.replaceAll(',', ', ');
  const several = routers.includes(',');
  if (process.env.ODONATA_SYSLINK) {
    return {
      what: `${several ? 'no router' : 'the router'} at ${list} (ODONATA_SYSLINK) ${several ? 'answers' : 'does not answer'}`,
      fix: 'Is the cluster there up, and the address right?',
    };
  }
  const context = contextInUse();
  if (context !== undefined && knownContext(context).syslink === routers) {
    return {
      what: `${several ? 'no router' : 'the router'} of cluster "${cluster}" ${several ? 'answers' : 'does not answer'} at ${list} (context ${context})`,
      fix: 'Is the cluster up, and still at that address? For clusters of this machine: vkctl context use here',
    };
  }
  const what = several
    ? `no router of cluster "${cluster}" answers at ${list}`
    : `the router of cluster "${cluster}" does not answer at ${list}`;
  return { what, fix: 'See: vkctl status, vkctl doctor.' };
}

/** Undefined for what a service answered: that is said as it is. */
export function clientWords(error: unknown): Words | undefined {
  const told = clientReason(error);
  // Each reason's words take what that reason tells.
  return told && (WORDS[told.reason] as ((about: object) => Words) | undefined)?.(told);
}

/** Or it has no supervisor of its own, or is in no cluster any more. */
function notUp({ cluster }: ClientReasons['NOT_UP']): Words {
  const flag = flagOf(cluster);
  const membership = knownMembership(cluster);
  if (membership?.removed)
    return {
      what: `this machine was ${membership.node.name} of cluster "${membership.cluster}", and was removed from it`,
      fix: `Clear what is left with: vkctl down --purge${flag}`,
    };
  if (membership?.lodgesWith !== undefined)
    return {
      what: `cluster "${cluster}" lodges on this machine, with cluster "${membership.lodgesWith}", and nobody here has a certificate of it`,
      fix: `How it stands: vkctl vkernel ls${flagOf(membership.lodgesWith)}. To look into it, an admin of it makes a context: vkctl user add NAME`,
    };
  return { what: `cluster "${cluster}" is not up`, fix: `Start it with: vkctl up${flag}` };
}
