/** The layers between a virtual kernel and its machine; SECURITY.md says what each is for, and which must be there. */
export const LAYERS = ['seccomp', 'namespaces', 'uid', 'landlock', 'cgroup'] as const;
export type LayerName = (typeof LAYERS)[number];
