/** What a command is to be given behind all else so that it is about this cluster. */
export const clusterFlag = (cluster: string): string => (cluster === 'default' ? '' : ` -c ${cluster}`);
