// What a descriptor may be open to. A place and 1 is its number where one is written down; 0 is none.
export const descriptorKinds = [
  'stream',
  'file',
  'directory',
  'nowhere',
  'socket',
  'device',
  'mounted-file',
  'mounted-folder',
] as const;
export type DescriptorKind = (typeof descriptorKinds)[number];
