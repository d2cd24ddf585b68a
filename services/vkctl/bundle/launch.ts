// What bin/vkctl.js asks before it runs vkctl. It is part of the bundle, too: to read these few lines as TypeScript costs half of
// a short command's time.
import { bundled } from '@odonata/rpc/bundle.ts';
import { compileCache } from '../cluster/compile-cache.ts';

export { bundled, compileCache };
