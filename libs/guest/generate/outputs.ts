// The files that are made from the description of module `odonata`. They are kept in the repository, since people copy
// and read them; a test holds them to what is made here.

import { readFileSync } from 'node:fs';
import { odonata } from '../module/odonata.ts';
import { assemblyscript } from './assemblyscript.ts';
import { CHeader } from './c-header.ts';
import { go } from './go.ts';
import { reference } from './reference.ts';
import { rust } from './rust.ts';

const layer = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');

/** Texts by path, from the root of the repository. */
export function outputs(): Readonly<Record<string, string>> {
  return {
    'libs/guest/odonata.h': new CHeader(odonata).write(layer('layer.h')),
    'libs/guest/assembly/odonata.ts': assemblyscript(odonata, layer('assembly/layer.ts')),
    'libs/guest/rust/src/lib.rs': rust(odonata, layer('rust/layer.rs')),
    'libs/guest/go/odonata.go': go(odonata, layer('go/layer.go.txt')),
    'docs/guest-api.md': reference(odonata),
  };
}
